"""Processes that measure architectures side by side, each with one thread and, where there are GPUs, one of them.

A process that dies is replaced, and what it was measuring is measured again.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from genas.models.errors import GenasError
from genas.pipeline.machine.distributed import MOST

ATTEMPTS = 3
"""How often an item may end its process before it is given up."""


def asked() -> int:
    """``GENAS_WORKERS``, by default 1.

    Raises:
        GenasError: it is no number of processes.
    """
    number = os.environ.get("GENAS_WORKERS") or "1"
    if not number.isdecimal() or not 1 <= int(number) <= MOST:
        raise GenasError(f"GENAS_WORKERS is {number!r}, expected a number of processes, 1 to {MOST}")
    return int(number)


def take_gpu(folder: str) -> None:
    """Make the first GPU that no other worker holds this process's own, for as long as it lives.

    A lock on a file stands for a GPU, because the system frees it however the process ends. With more workers than
    GPUs, several share the last ones in turn. Nothing happens without GPUs or where ``GENAS_DEVICE`` names a device.
    """
    import torch

    count = torch.cuda.device_count()
    if not count or os.environ.get("GENAS_DEVICE"):
        return
    for place in range(MOST):
        lock = os.open(Path(folder) / f"{place}", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        os.environ["GENAS_DEVICE"] = f"cuda:{place % count}"
        return


class Workers:
    """An executor with ``map`` over ``count`` processes.

    Args:
        count: processes.
        given_up: what stands for the result of an item that ended its process :data:`ATTEMPTS` times.
    """

    def __init__(self, count: int, given_up: Callable[[str], Any]) -> None:
        self.count, self.given_up = count, given_up

    def __enter__(self) -> Self:
        self.folder = tempfile.TemporaryDirectory(prefix="genas-gpus-")
        self.pool = self._start()
        return self

    def _start(self) -> ProcessPool:
        return ProcessPool(self.count, context=get_context("spawn"), initializer=take_gpu, initargs=[self.folder.name])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.stop()
        self.pool.join()
        self.folder.cleanup()

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """The function's results, in the order of the items."""
        started = [(item, self._schedule(function, item)) for item in items]
        for item, future in started:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    yield future.result()
                    break
                except ProcessExpired as death:
                    how = f"a scoring process ended with status {death.exitcode}"
                except BrokenProcessPool:
                    how = "a scoring process ended before it had an architecture"
                if attempt == ATTEMPTS:
                    yield self.given_up(f"{how}, {ATTEMPTS} times")
                    break
                print(f"{how}: another takes its place", file=sys.stderr)
                future = self._schedule(function, item)

    def _schedule(self, function: Callable[[Any], Any], item: Any) -> ProcessFuture[Any]:
        """In a new pool where Pebble has given up the old one, as it does when a process dies and none has an item."""
        if not self.pool.active:
            self.pool.stop()
            self.pool.join()
            self.pool = self._start()
        return self.pool.schedule(function, args=[item])
