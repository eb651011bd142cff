"""What a stage is given: its row, its parameters, where to read and write, and whom to tell about progress."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from genas.models.errors import GenasError
from genas.pipeline.config import Params

if TYPE_CHECKING:
    import torch


class Log(Protocol):
    """Receives live curves: ``log(step, {"name": value})``. A stage never reads from it."""

    def __call__(self, step: int, values: Mapping[str, float]) -> None: ...


def silent(step: int, values: Mapping[str, float]) -> None:
    """The log that nobody reads."""


def chosen_device() -> torch.device:
    """``GENAS_DEVICE`` if set, else the GPU where there is one; of several processes, each has a current GPU of its own
    (:func:`genas.pipeline.machine.distributed.joined`), whichever number was named.

    Raises:
        GenasError: no device, or one that this machine does not have.
    """
    import torch

    gpus, named = torch.cuda.device_count(), os.environ.get("GENAS_DEVICE") or ""
    try:
        device = torch.device(named or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise GenasError(f"GENAS_DEVICE is {named!r}, expected cpu, cuda or cuda:0") from None
    if device.type not in ("cpu", "cuda"):
        raise GenasError(f"GENAS_DEVICE is {named!r}, expected cpu, cuda or cuda:0")
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise GenasError(f"GENAS_DEVICE is {named!r}, but this machine has {gpus} GPUs")
    return torch.device("cuda") if device.type == "cuda" and "RANK" in os.environ else device


@dataclass(frozen=True)
class Context:
    """One row of one stage of one profile.

    Attributes:
        stage: name of the stage, as in ``dvc.yaml``.
        axes: what distinguishes the row, in ``dvc.yaml``'s order, for example ``{"dataset": "cifar10", "seed": "0"}``.
        params: the profile's parameters, validated.
        root: the profile's folder, where ``params.yaml`` and ``out/`` are.
        log: receives live curves.
        notes: how the row was computed where ``params.yaml`` left that open, and how many seconds it took before it was
            killed, for ``timing.json``.
    """

    stage: str
    axes: Mapping[str, str]
    params: Params
    root: Path
    log: Log = field(default=silent)
    notes: dict[str, str | float] = field(default_factory=dict, compare=False)

    @property
    def row(self) -> str:
        """The row's name, the axes joined as DVC joins them: ``cifar10-0``."""
        return "-".join(self.axes.values())

    def seed(self, kind: str = "seed") -> int:
        """A seed of the row: that of its ``supernet``, of the ``split`` of the images that this one is trained on, of
        the ``noise`` under which it scores; by default of what it draws itself.

        It is the row's axis of that name. What has none follows ``seed``, a split its supernet: so one seed says all,
        and a row that takes them apart names each.
        """
        names = (kind, "supernet", "seed") if kind == "split" else (kind, "seed")
        return int(next(self.axes[name] for name in names if name in self.axes))

    @property
    def out(self) -> Path:
        """Where this row writes, and nowhere else."""
        return self.output_of(self.stage, self.row)

    def output_of(self, stage: str, row: str) -> Path:
        """Where another row wrote; reading it makes it a dependency in ``dvc.yaml``."""
        return self.root / "out" / stage / row

    @cached_property
    def device(self) -> torch.device:
        """Where the row runs: :func:`chosen_device`."""
        return chosen_device()
