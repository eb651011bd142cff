"""``genas export``: a retrained row as a folder that others can load, with a model card that says what it is.

No stage: nothing depends on it, and it changes nothing that a stage left.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from genas.models.errors import GenasError
from genas.models.networks import export as formats
from genas.models.networks.files.checkpoint import read_header
from genas.pipeline.config import Params, load_params, profiles
from genas.pipeline.drawing.cells import draw_genotype
from genas.pipeline.export.card import model_card
from genas.pipeline.results import records
from genas.pipeline.retrain.network_file import network_file

FILES = ("README.md", "cell.png", "config.json", "model.onnx", "model.pt2", "model.safetensors")
"""What an export holds, no more and no less."""


def export(root: Path, row: str, folder: Path | None = None) -> Path:
    """Write a retrained row of a profile in every format, with its card; an earlier export is replaced.

    The folder appears whole or not at all: it is written beside its place and moved there when all formats have been
    checked.

    Args:
        root: the profile's folder.
        row: a row of ``retrain``.
        folder: where to; by default ``out/export/<row>`` of the profile.

    Returns:
        The folder.

    Raises:
        GenasError: wrong parameters, no such row, a row that is not retrained or no longer the one that
            ``params.yaml`` describes, a folder that holds other things, or as :mod:`genas.models.networks.export`.
    """
    params = load_params(root)
    source = trained(params, root, row)
    folder = folder.absolute() if folder else root / "out" / "export" / row
    require_free(folder)
    formats.require_packages()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)
    except OSError as error:
        raise GenasError(f"{folder} cannot be written: {error.strerror}") from None
    with place as name:
        new, old = Path(name) / "new", Path(name) / "old"
        new.mkdir()
        write(params, root, row, source, new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    return folder


def write(params: Params, root: Path, row: str, source: Path, folder: Path) -> None:
    """Write the files of an export, its card last."""
    header = read_header(source)
    formats.write_timm(source, folder, row)
    formats.write_programs(source, folder)
    draw_genotype(header.genotype, folder / "cell.png", row)
    (folder / "README.md").write_text(model_card(params, root, row, header))


def trained(params: Params, root: Path, row: str) -> Path:
    """The weights of a retrained row.

    Raises:
        GenasError: no such row; not retrained; or its cell, shape or image size are not those of ``params.yaml``.
    """
    if row not in params.rows:
        raise GenasError(f"stage retrain has no row {row!r}, params.yaml defines {', '.join(params.rows)}")
    profile = next((name for name, folder in profiles().items() if folder == root), str(root))
    remedy = f"genas run retrain@{row} --profile {profile}"
    weights = root / "out" / "retrain" / row / "weights.safetensors"
    if not weights.exists() or not records.metrics(root, ("retrain", row)):
        raise GenasError(f"row {row} is not retrained yet: {remedy}")
    return network_file(params, root, row)


def require_free(folder: Path) -> None:
    """Refuse to replace anything but an earlier export or an empty folder.

    Raises:
        GenasError: something else is there.
    """
    if folder.exists() and not folder.is_dir():
        raise GenasError(f"{folder} is a file, choose a folder with --to")
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if names and names != sorted(FILES):
        raise GenasError(f"{folder} holds other things than an export, choose another folder with --to")
