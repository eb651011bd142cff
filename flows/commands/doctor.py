"""Is everything here that a profile needs? Versions against the project's own bounds, frameworks, data, disk."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from genas.flows import environment
from genas.models.errors import GenasError
from genas.pipeline.config import REPOSITORY, Params, data_root, load_params
from genas.pipeline.context import chosen_device
from genas.pipeline.machine.processor import instruction_set
from genas.pipeline.stages import STAGES, rows_of

DISK = 5
"""GB that should be free for the outputs of the small profiles."""
EXTRA = re.compile(r'extra == "(\w+)"')
"""How a requirement's marker names the extra that it belongs to."""

FAULTS = {
    "2.14.1": "without AVX-512 its oneDNN corrupts memory in the backward pass of a strided 1x1 convolution of fewer "
    "than 8 channels (uxlfoundation/oneDNN issue 6035), and with AVX-512 it gets the weight gradient of a dilated "
    "depthwise convolution in bfloat16 wrong; the networks here have neither",
}
"""What is known to be wrong with a release of torch, and what that means here."""


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis; what is ``essential`` and not ``ok`` makes the command fail."""

    name: str
    ok: bool
    message: str
    essential: bool = True


def examine(folder: Path) -> Iterator[Finding]:
    """Every finding for the profile in ``folder``, cheap ones first."""
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])
    params: Params | None = None
    try:
        params = load_params(folder)
        yield Finding("params.yaml", True, f"profile {params.profile}")
    except GenasError as error:
        yield Finding("params.yaml", False, str(error))
    yield from packages()
    yield from tools()
    yield from frameworks(params)
    yield from data(folder, params)


def packages() -> Iterator[Finding]:
    """Each requirement of this package against what is installed; those of the extras are not essential.

    An optional part that is missing shows again, as essential, in :func:`frameworks` where the profile needs it.
    """
    for requirement in map(Requirement, requires("genas-pipeline") or ()):
        group = EXTRA.search(str(requirement.marker))
        if group and group[1] == "dev":
            continue
        label = f"{requirement.name} [{group[1]}]" if group else requirement.name
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wanted = str(requirement).partition(";")[0]
            yield Finding(label, False, f"not installed, expected {wanted}", essential=not group)
            continue
        # A build's local part ("+cpu", "+cu130") is not part of the bound.
        fits = requirement.specifier.contains(found.partition("+")[0], prereleases=True)
        wanted = "" if fits else f", expected {requirement.specifier}"
        yield Finding(label, fits, found + wanted, essential=not group)


def tools() -> Iterator[Finding]:
    """The processor and what is known of it with this torch, the device, git, telemetry and disk."""
    import torch

    yield Finding("CPU", True, f"instruction set {instruction_set()}", essential=False)
    for release, fault in FAULTS.items():
        if torch.__version__.startswith(release):
            yield Finding(f"torch {release}", True, fault, essential=False)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, everything runs on the CPU"
    yield Finding("GPU", True, device, essential=False)
    kept = not sys.dont_write_bytecode or any(Path(torch.__path__[0]).glob("__pycache__/*"))
    yield Finding("bytecode", kept, "kept" if kept else "none (PYTHONDONTWRITEBYTECODE): slow starts", essential=False)
    git = shutil.which("git")
    yield Finding("git", git is not None, git or "not found, DVC needs it")
    on = [name for name, value in environment.QUIET.items() if os.environ.get(name, value) != value]
    yield Finding("telemetry", not on, f"changed by the environment: {', '.join(on)}" if on else "off", essential=False)
    free = shutil.disk_usage(REPOSITORY).free / 1e9
    yield Finding("disk", free > DISK, f"{free:.0f} GB free", essential=False)


def gpu() -> Iterator[Finding]:
    """Every kind of step on the GPU, compared with the CPU.

    Raises:
        GenasError: there is no GPU.
    """
    import torch

    device = chosen_device()
    if device.type != "cuda":
        raise GenasError("doctor --gpu: no GPU: torch finds none here, or GENAS_DEVICE names another device")
    from genas.benchmarks.devices.compare import compare
    from genas.benchmarks.devices.kinds import every_kind

    yield Finding("GPU", True, f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    yield Finding("CPU", True, f"instruction set {instruction_set()}, {torch.get_num_threads()} threads")
    yield from (Finding(*each) for each in compare(every_kind(), device))


def frameworks(params: Params | None) -> Iterator[Finding]:
    """Detectron2 and MMSegmentation import; essential where the profile has rows for them."""
    rows = {stage: rows_of(params, stage) for stage in STAGES} if params else {}
    for stage, module in (("detect", "detectron2.modeling"), ("segment", "mmseg.models")):
        needed = bool(rows.get(stage))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(module)
            yield Finding(module.partition(".")[0], True, "imports", needed)
        except (ImportError, AttributeError, OSError, RuntimeError) as error:  # how broken installations show
            yield Finding(module.partition(".")[0], False, " ".join(f"does not import: {error}".split()), needed)


def data(folder: Path, params: Params | None) -> Iterator[Finding]:
    """Where the data root is and which of the profile's data sets are there."""
    root = data_root()
    derived = params is not None and all(data_set.path is None for data_set in params.data.values())
    yield Finding("data root", root.is_dir() or derived, str(root))
    if params is not None:
        from genas.pipeline.data.stage import check

        for name, ok, message in check(folder):
            yield Finding(f"data {name}", ok, message)
