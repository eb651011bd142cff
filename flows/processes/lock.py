"""One run of a profile at a time: a lock that the system frees however its holder ends, and what it says of that."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from genas.flows.progress import LOGGER
from genas.models.errors import GenasError


class Note(logging.Handler):
    """Keeps in the lock's file who holds it, and which stages run."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream, self.running = stream, list[str]()
        self.since = datetime.now().isoformat(timespec="seconds")
        self.write()

    def emit(self, record: logging.LogRecord) -> None:
        stage, state = (getattr(record, name) for name in ("stage", "state"))
        self.running = [name for name in self.running if name != stage] + [stage] * (state == "running")
        self.write()

    def write(self) -> None:
        """Replace what the file says."""
        command = " ".join(["genas", *sys.argv[1:]])
        content = {"pid": os.getpid(), "since": self.since, "command": command, "stages": self.running}
        self.stream.truncate(0)
        self.stream.write(json.dumps(content) + "\n")
        self.stream.flush()


def holder(path: Path) -> str:
    """Who holds the lock, as far as its file says."""
    try:
        content = json.loads(path.read_text())
        since = datetime.fromisoformat(content["since"])
        clock = f"{since:%H:%M}" if since.date() == datetime.now().date() else f"{since:%Y-%m-%d %H:%M}"
        stages = f", stage {', '.join(content['stages'])}" if content["stages"] else ""
        return f"another run (PID {content['pid']}, since {clock}{stages}) is working"
    except (ValueError, KeyError):  # it is being written
        return "another run is working"


@contextmanager
def run_lock(folder: Path, wait: bool) -> Iterator[None]:
    """Hold the lock of the profile in ``folder`` while the block runs.

    Args:
        folder: the profile's folder.
        wait: until another run has ended.

    Raises:
        GenasError: another run holds it, and is not to be waited for.
    """
    path = folder / ".scratch" / "run.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise GenasError(f"{holder(path)}, wait for it with --wait") from None
            print(f"{holder(path)}, waiting for it", file=sys.stderr)
            fcntl.flock(stream, fcntl.LOCK_EX)
        note = Note(stream)
        LOGGER.addHandler(note)
        try:
            yield
        finally:
            LOGGER.removeHandler(note)
