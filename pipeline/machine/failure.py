"""What nobody expected, said in one line; the whole traceback goes to a log."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

LONGEST = 300
"""Characters of an exception's message that the line shows; the log has all of it."""


def explain(error: Exception, folder: Path | None, name: str) -> str:
    """One line about an exception that is no user's error; ``GENAS_TRACEBACK=1`` prints the traceback as well.

    Args:
        error: the exception.
        folder: a profile's folder, whose ``.scratch/logs/NAME.error.log`` takes the traceback; None or a folder that
            cannot be written to: a new file in the folder for temporary files does.
        name: what went wrong.
    """
    if os.environ.get("GENAS_TRACEBACK") == "1":
        traceback.print_exception(error)
    message = " ".join(str(error).split())
    if len(message) > LONGEST:
        message = f"{message[:LONGEST]}..."
    if out_of_space(error):
        return f"no space left on the disk of {folder or Path.cwd()} ({message})"
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    log = _write_log(error, folder, name.replace(os.sep, "_"))
    what = _in_the_way(error) or f"unexpected {said}"
    return f"{what} (whole traceback: {log or 'with GENAS_TRACEBACK=1'})"


def _in_the_way(error: BaseException) -> str | None:
    """What is wrong with the path that could not be made, read or written, if that is what an exception is about."""
    kinds = (NotADirectoryError, FileExistsError, IsADirectoryError, PermissionError)
    for link in _chain(error):
        if isinstance(link, kinds) and link.filename:
            return f"{link.filename}: {(link.strerror or type(link).__name__).lower()}"
    return None


def out_of_space(error: BaseException) -> bool:
    """Whether a full disk, or a limit of files' sizes, is behind an exception: some libraries wrap it, or keep its text
    alone."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    texts = [os.strerror(number) for number in full]
    return any(
        (isinstance(link, OSError) and link.errno in full) or any(text in str(link) for text in texts)
        for link in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _write_log(error: Exception, folder: Path | None, name: str) -> Path | None:
    """Add the traceback to the log; None where there is no place for one."""
    text = f"{datetime.now():%Y-%m-%d %H:%M:%S} {' '.join(sys.argv)}\n{''.join(traceback.format_exception(error))}\n"
    try:
        if folder is not None:
            path = folder / ".scratch" / "logs" / f"{name}.error.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as log:
                log.write(text)
            return path
    except OSError:
        pass  # a folder that is not ours to write to
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f"{name}-", suffix=".error.log")
        with os.fdopen(descriptor, "w") as log:
            log.write(text)
        return Path(temporary)
    except OSError:
        return None
