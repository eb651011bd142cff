"""Folders and small files, read so that whatever is wrong with one is a single line that names it.

Nothing is left out silently: a folder that cannot be listed, a link that leads nowhere or in a circle, and a name that
is no text are errors, since each could hide a whole class of a data set.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genas.models.errors import GenasError

if TYPE_CHECKING:
    import pandas as pd

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""What would break the line of a message."""


def reason(error: BaseException) -> str:
    """What an exception says, on one line."""
    return line(str(error)) or type(error).__name__


def line(text: object, longest: int = 200) -> str:
    """A text on one line: white space is one blank, what is no UTF-8 is escaped, a long one is cut off."""
    plain = " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())
    return plain if len(plain) <= longest else f"{plain[:longest]}..."


def text_of(path: Path, expected: str) -> str:
    """A file's text.

    Raises:
        GenasError: it cannot be read or is not UTF-8; ``expected`` says what it should be.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise GenasError(f"{path}: not {expected}, byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise GenasError(f"{path}: not {expected} ({reason(error)})") from None


def json_of(path: Path, expected: str) -> Any:
    """A JSON file's content.

    Raises:
        GenasError: as :func:`text_of`, or it is no JSON.
    """
    try:
        return json.loads(text_of(path, expected))
    except (ValueError, RecursionError) as error:
        raise GenasError(f"{path}: not {expected} (no JSON: {reason(error)})") from None


def table_in(path: Path) -> pd.DataFrame:
    """A table that a row has left, parquet or comma-separated.

    Raises:
        GenasError: it cannot be read.
    """
    import pandas as pd
    import pyarrow

    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise GenasError(f"{path}: not a readable table ({reason(error)})") from None


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """What lies in a folder, every name checked, hidden things included.

    Raises:
        GenasError: the folder cannot be listed, a name is not UTF-8 or has control characters.
    """
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        raise GenasError(f"{line(folder)}: not a readable folder ({reason(error)})") from None
    for entry in entries:
        if not entry.name.isascii() or CONTROL.search(entry.name):
            check_name(line(folder), entry.name)
    return entries


def check_name(origin: str, name: str) -> None:
    """Refuse a name that is not UTF-8 or has control characters.

    Raises:
        GenasError: ``origin`` and the name, escaped.
    """
    shown = name.encode("utf-8", "backslashreplace").decode()
    if shown != name:
        raise GenasError(f"{origin}: the name {shown} is not UTF-8")
    if CONTROL.search(name):
        raise GenasError(f"{origin}: the name {name!r} has control characters")


def _is(question: Callable[[], bool], path: str) -> bool:
    """``DirEntry.is_dir`` or ``is_file`` of ``path``, links followed; a circle of links is an error in one line."""
    try:
        return question()
    except OSError as error:
        raise GenasError(f"{path}: not readable ({reason(error)})") from None


def _check_link(entry: os.DirEntry[str]) -> None:
    if entry.is_symlink() and not os.path.exists(entry.path):
        raise GenasError(f"{entry.path}: a link that leads nowhere ({os.readlink(entry.path)})")


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted.

    Raises:
        GenasError: the folder cannot be listed, a link in it leads nowhere, a name is no text.
    """
    entries = _entries(folder)
    for entry in entries:
        if not entry.name.startswith("."):
            _check_link(entry)
    return sorted(entry.name for entry in entries if _is(entry.is_dir, entry.path))


def walk(folder: Path) -> Iterator[str]:
    """Paths of all files below a folder, links followed, in no order; files whose names begin with a dot left out.

    Raises:
        GenasError: a folder that cannot be listed, a link that leads nowhere or in a circle, a name that is no text.
    """
    yield from _walk(str(folder), (os.path.realpath(folder),))


def _walk(folder: str, entered: tuple[str, ...]) -> Iterator[str]:
    """Args:
    folder: whose files are wanted.
    entered: real paths of the folder where the walk began, and of those that links led to on the way here.
    """
    for entry in _entries(folder):
        if _is(entry.is_dir, entry.path):
            yield from _walk(entry.path, _followed(entry, folder, entered) if entry.is_symlink() else entered)
        elif not entry.name.startswith("."):
            _check_link(entry)
            if _is(entry.is_file, entry.path):
                yield entry.path


def _followed(entry: os.DirEntry[str], folder: str, entered: tuple[str, ...]) -> tuple[str, ...]:
    target, here = os.path.realpath(entry.path), os.path.realpath(folder)
    if any(real == target or real.startswith(target.rstrip(os.sep) + os.sep) for real in (*entered, here)):
        raise GenasError(f"{entry.path}: a link in a circle, it leads back to {target}")
    return (*entered, here, target)
