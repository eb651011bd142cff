"""What a row has to do, as numbers: steps of different kinds, memory, disk. How long they take is asked elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import NamedTuple

from genas.models.errors import GenasError
from genas.pipeline.config import Params
from genas.pipeline.stages import STAGES, Key

BACKWARD = 3
"""Times the work of a forward pass that a training step takes: forward, gradients of the maps, gradients of the
weights, each about as much arithmetic (Kaplan et al., 2020, Section 2.1), memory traffic and kernel calls."""
BASE = 0.95e9
"""Bytes of a process before it has done anything: Python, torch and the frameworks, as measured."""


RESIDENT = ("parquet", "cifar10", "cifar100")
"""Layouts whose images lie in memory, decoded."""


class Images(NamedTuple):
    """A data set: images to train on and to validate or test on, and classes."""

    train: int
    val: int
    classes: int


@dataclass(frozen=True)
class Profile:
    """What a forecast knows: the parameters, and the data sets whose size is known."""

    params: Params
    sets: Mapping[str, Images]

    def images(self, name: str) -> Images:
        """The size of a data set.

        Raises:
            GenasError: it is not there, and its size is not known otherwise.
        """
        if name not in self.sets:
            raise GenasError(f"data set {name} is not there, and how many images it has is not known")
        return self.sets[name]

    def files(self, name: str, images: float) -> float:
        """How many of so many images that are read are decoded from a file."""
        return 0 if self.params.data[name].layout in RESIDENT else images


class Cost(NamedTuple):
    """What one image costs a forward pass.

    Attributes:
        flops: floating-point operations, two for a multiply-add.
        traffic: bytes read and written in float32.
        calls: kernels of a pass, however many images it has.
        maps: bytes of all maps in float32, which a backward pass keeps.
        weights: parameters of the whole network.
    """

    flops: float
    traffic: float
    calls: float
    maps: float
    weights: float


@dataclass(frozen=True)
class Load:
    """So many steps of one kind.

    Attributes:
        kind: what :mod:`genas.pipeline.forecast.calibration` measures once for all rows of a profile.
        steps: batches, or architectures.
        images: in all steps together; for what looks at no image, architectures.
        flops: floating-point operations of all steps.
        traffic: bytes read and written by all steps.
        calls: kernels that all steps start.
        half: whether it computes in 16 bits.
        files: images that are read from files and decoded.
        workers: processes that do that beside the training; 0 where it waits for them.
    """

    kind: str
    steps: float
    images: float
    flops: float = 0
    traffic: float = 0
    calls: float = 0
    half: bool = False
    files: float = 0
    workers: int = 0


def load(
    kind: str,
    cost: Cost,
    images: float,
    batch: float,
    passes: float = 1,
    half: bool = False,
    files: float = 0,
    workers: int = 0,
) -> Load:
    """``images`` in batches of ``batch``, each passed ``passes`` times forward; half precision halves the traffic."""
    steps = images / batch
    traffic = passes * (cost.traffic * images + 4 * cost.weights * steps) / (2 if half else 1)
    flops, calls = passes * cost.flops * images, passes * cost.calls * steps
    return Load(kind, steps, images, flops, traffic, calls, half, files, workers)


@dataclass(frozen=True)
class Work:
    """A row's work.

    Attributes:
        loads: what it computes.
        memory: bytes at the peak, the process itself included.
        disk: bytes that it leaves.
        seconds: of what is not computed on a device, on any machine: tables, pictures.
    """

    loads: tuple[Load, ...] = ()
    memory: float = BASE
    disk: float = 0
    seconds: float = 0

    @property
    def steps(self) -> float:
        return sum(part.steps for part in self.loads)

    @property
    def images(self) -> float:
        return sum(part.images for part in self.loads)

    @property
    def flops(self) -> float:
        return sum(part.flops for part in self.loads)


def training_memory(cost: Cost, batch: float, copies: int, half: bool = False) -> float:
    """Bytes at the peak of training: the maps of a batch, and ``copies`` of the weights (themselves, gradients,
    momentum, a moving average)."""
    return BASE + cost.maps * batch / (2 if half else 1) + 4 * copies * cost.weights


class Rate(NamedTuple):
    """How long a kind of step took: seconds and operations of an image, and seconds before the first."""

    seconds: float
    flops: float
    setup: float = 0


Kinds = Set[str]
Trial = Callable[[Profile, Key, Kinds], Mapping[str, Rate]]


def nothing(profile: Profile, key: Key, kinds: Kinds) -> Mapping[str, Rate]:
    """The trial of a stage that computes nothing worth measuring."""
    return {}


class Forecast(NamedTuple):
    """What the module of a stage in this package offers, under the name that the table of stages gives.

    Attributes:
        work: of a row, from the parameters and the sizes of the data sets alone.
        trial: runs some steps of each of ``kinds`` here, at the row's own sizes, and says how long they took.
    """

    work: Callable[[Profile, Key], Work]
    trial: Trial = nothing


def forecast_of(stage: str) -> Forecast:
    """What the table of stages names for one."""
    found: Forecast = resolve_name(STAGES[stage].forecast)
    return found
