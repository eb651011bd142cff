"""Archives from the network, unpacked: no member leaves its folder, and a place is there only when it is whole."""

from __future__ import annotations

import lzma
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from genas.models.errors import GenasError
from genas.pipeline.data.reading.files import line, reason

if sys.version_info < (3, 12):
    from backports import tarfile
else:
    import tarfile

BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
"""How archives show that they are none."""


def wanted(archive: Path, name: str, inside: str, only: tuple[str, ...]) -> bool:
    """Whether a member lies in the folder ``inside``, and is one of ``only`` if there are any.

    Raises:
        GenasError: its name leads out of the folder that it is unpacked into.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise GenasError(f"{archive}: its member {line(name, 80)!r} would leave the folder, nothing was unpacked")
    below = path.parts[:1] == (inside,) and len(path.parts) > 1
    return below and (not only or path.name in only)


@contextmanager
def readable(archive: Path) -> Iterator[None]:
    """What goes wrong with an archive inside is one line.

    Raises:
        GenasError: it is broken, or there is no room.
    """
    try:
        yield
    except GenasError:
        raise
    except BROKEN as error:
        raise GenasError(f"{archive}: not a readable archive ({reason(error)})") from None
    except OSError as error:
        raise GenasError(f"{archive}: cannot be unpacked ({reason(error)})") from None


def unpack(archive: Path, inside: str, place: Path, only: tuple[str, ...] = ()) -> None:
    """Let the folder ``inside`` of an archive (tar, compressed or not, or zip) become the folder ``place``.

    Raises:
        GenasError: a member that would leave the folder, by its name or as a link, or is a device; no such folder in
            the archive; a broken archive; no room.
    """
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with readable(archive):
            part.mkdir(parents=True)
            if archive.suffix == ".zip":
                _unzip(archive, inside, part, only)
            else:
                _untar(archive, inside, part, only)
            if not (part / inside).is_dir():
                raise GenasError(f"{archive}: there is no {inside} in it")
            (part / inside).rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unzip(archive: Path, inside: str, part: Path, only: tuple[str, ...]) -> None:
    with zipfile.ZipFile(archive) as source:
        names = [name for name in source.namelist() if wanted(archive, name, inside, only)]
        for name in names:
            source.extract(name, part)


def _untar(archive: Path, inside: str, part: Path, only: tuple[str, ...]) -> None:
    with tarfile.open(archive) as source:
        for member in source:
            if wanted(archive, member.name, inside, only):
                source.extract(member, part, filter="data")
