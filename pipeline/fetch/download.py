"""One file from the network: a cut download goes on where it stopped; with the right digest it gets its name."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from genas.models.errors import GenasError
from genas.pipeline.data.reading.files import reason
from genas.pipeline.fetch.sets import Archive

Tell = Callable[[int, int | None], None]
"""Told how many bytes are there, and of how many."""
TRIES = 5
"""In a row without a byte more, after which the network is given up; at once where none has ever come."""
WAIT = 1.0
"""Seconds before a second try; twice as many before each next one."""
TIMEOUT = 30.0
"""Seconds without a byte."""


def download(archive: Archive, path: Path, tell: Tell = lambda here, total: None) -> None:
    """Fetch ``archive`` to ``path``, unless it is there.

    Raises:
        GenasError: no connection, a refusal, a wrong digest, no room, or another process is at it.
    """
    if path.exists():
        return
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file, _alone(part, file.fileno()):
            _fetch(archive.url, part, tell)
            found = digest_of(part, archive.digest.partition(":")[0])
            if found != archive.digest:
                part.unlink()
                raise GenasError(
                    f"{archive.url}: its digest is {found}, expected {archive.digest}; what came was removed"
                )
            part.rename(path)
    except OSError as error:
        raise GenasError(f"{part}: cannot be written ({reason(error)})") from None


@contextmanager
def _alone(part: Path, number: int) -> Iterator[None]:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise GenasError(f"{part}: another process downloads it") from None
    yield


def digest_of(path: Path, algorithm: str) -> str:
    """A file's digest with the algorithm before it: ``sha256:...``."""
    with path.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"


def _fetch(url: str, part: Path, tell: Tell) -> None:
    """All of a file, in as many connections as it takes.

    Raises:
        GenasError: :data:`TRIES` in a row brought nothing, the server refuses, or there is no room.
    """
    failed = TRIES - 1
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}) as client:
        while True:
            before = part.stat().st_size
            try:
                if _go_on(client, url, part, tell):
                    return
            except httpx.TransportError as error:
                failed = 0 if part.stat().st_size > before else failed + 1
                if failed == TRIES:
                    here = f"; {before} bytes are kept, the same command goes on" if before else ""
                    raise GenasError(
                        f"{url}: no connection to {urlsplit(url).hostname} ({reason(error)}){here}"
                    ) from None
                time.sleep(WAIT * 2**failed)
            except httpx.HTTPError as error:
                raise GenasError(f"{url}: {reason(error)}") from None


def _go_on(client: httpx.Client, url: str, part: Path, tell: Tell) -> bool:
    """What one connection brings, behind what is there; whether the file is whole.

    Raises:
        httpx.TransportError: the connection was cut.
        GenasError: the server refuses, or there is no room.
    """
    here = part.stat().st_size
    with client.stream("GET", url, headers={"Range": f"bytes={here}-"} if here else {}) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:  # nothing is left, or it is another file
            if answer.headers.get("Content-Range") == f"bytes */{here}":
                return True
            part.write_bytes(b"")
            return False
        if not answer.is_success:
            raise GenasError(f"{url}: the server answers {answer.status_code} {answer.reason_phrase}")
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {here}-"):
            here = 0  # all of it comes
        left = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
        free = shutil.disk_usage(part.parent).free
        if left is not None and left > free:
            raise GenasError(f"{part.parent}: {free / 1e9:.1f} GB are free, {url} takes {left / 1e9:.1f} GB")
        total = None if left is None else here + left
        with part.open("r+b") as stream:
            stream.truncate(here)
            stream.seek(here)
            for piece in answer.iter_raw():  # as it comes: pieces of one size lose the last where a connection is cut
                stream.write(piece)
                here += len(piece)
                tell(here, total)
    return True
