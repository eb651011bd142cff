"""Bring a published set to where it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from genas.models.errors import GenasError
from genas.pipeline.config import data_root
from genas.pipeline.fetch.cifar import convert
from genas.pipeline.fetch.download import Tell, download
from genas.pipeline.fetch.sets import LOGIN, SETS, Archive, Published
from genas.pipeline.fetch.unpack import unpack

DOWNLOADS = ".downloads"
"""Where archives wait to be unpacked, below the data root; nothing reads hidden folders there."""
Telling = Callable[[Archive], Tell]


def silent(archive: Archive) -> Tell:
    """Tell nobody."""
    return lambda here, total: None


def published(name: str, root: Path) -> Published:
    """A set that can be downloaded.

    Raises:
        GenasError: one that needs a login, with what to do; or an unknown one.
    """
    if name in LOGIN:
        raise GenasError(
            f"{name} needs a login: {LOGIN[name]} in {root / name}; genas data check tells what is missing"
        )
    if name not in SETS:
        raise GenasError(f"unknown data set {name!r}, expected one of {', '.join([*SETS, *LOGIN])}")
    return SETS[name]


def get(name: str, into: Path | None = None, tell: Telling = silent) -> tuple[Path, bool]:
    """Fetch a set into the data root, or into another folder.

    Returns:
        The set's folder, and whether anything had to be done.

    Raises:
        GenasError: as :func:`published`, :func:`genas.pipeline.fetch.download.download` and
            :func:`genas.pipeline.fetch.unpack.unpack`.
    """
    root = (into or data_root()).expanduser()
    found = published(name, root)
    missing = [archive for archive in found.archives if not _there(root / found.folder, found, archive)]
    for archive in missing:
        file = root / DOWNLOADS / archive.name
        download(archive, file, tell(archive))
        place = root / found.folder
        if found.cifar is not None:
            convert(file, archive.inside, found.cifar, place)
        else:
            place.mkdir(parents=True, exist_ok=True)
            unpack(file, archive.inside, place / archive.place, archive.only)
        file.unlink()
    return root / found.folder, bool(missing)


def _there(folder: Path, found: Published, archive: Archive) -> bool:
    if found.cifar is not None:
        return all((folder / name).exists() for name in ("train.parquet", "test.parquet"))
    return (folder / archive.place).exists()
