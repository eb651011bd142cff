"""Child processes that never outlive their parent: each in a group of its own, all of them ended together, and by a
guard (:mod:`genas.flows.processes.guard`) where the parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from genas.flows.processes.guard import GRACE, guarded


class StoppedError(Exception):
    """No further process is started: the run is being stopped."""


class StageError(Exception):
    """A stage ended badly and not by the user's mistake; the message names it, in one line."""


class Children:
    """The running child processes; :meth:`run` from any thread, :meth:`stop` from the one that gives up."""

    def __init__(self, grace: float = GRACE) -> None:
        self.grace = grace
        self._live: set[subprocess.Popen[str]] = set()
        self._stopping = False
        self._changed = threading.Condition()

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        tell: Callable[[str], None],
        timeout: float | None = None,
    ) -> int:
        """Run ``command`` in ``folder``, hand each line of its output to ``tell``, return its exit status.

        Raises:
            StoppedError: after :meth:`stop`.
            TimeoutError: it ran longer than ``timeout`` seconds, and was ended.
        """
        process = self._start(command, folder, environment)
        assert process.stdout is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._terminate(process)

        timer = threading.Timer(timeout or 0, expire)
        if timeout is not None:
            timer.start()
        try:
            for line in process.stdout:  # ends when the last process of the group has closed it
                tell(line.rstrip("\n"))
            status = process.wait()
        except BaseException:
            self._terminate(process)
            process.stdout.read()
            process.wait()
            raise
        finally:
            timer.cancel()
            process.stdout.close()
            with self._changed:
                self._live.discard(process)
                self._changed.notify_all()
        if expired.is_set():
            raise TimeoutError(f"ran longer than {timeout:g} s")
        return status

    def pause(self, seconds: float) -> None:
        """Wait between two looks at what runs elsewhere.

        Raises:
            StoppedError: after :meth:`stop`.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._stopping, seconds):
                raise StoppedError("the run is being stopped")

    def stop(self) -> None:
        """End every process and wait until they are gone; a second interruption kills them at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            live = list(self._live)
        try:
            for process in live:
                self._terminate(process)
            with self._changed:
                self._changed.wait_for(lambda: not self._live)
        except BaseException:
            for process in live:
                self._kill(process)
            raise

    def _start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        with self._changed:
            if self._stopping:
                raise StoppedError("the run is being stopped")
            process = subprocess.Popen(
                guarded(command),
                cwd=folder,
                env={**environment, "GENAS_PARENT": str(os.getpid())},  # pipeline/machine/lifetime.py
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._live.add(process)
            return process

    def _terminate(self, process: subprocess.Popen[str]) -> None:
        """SIGTERM now, SIGKILL after the grace period."""
        _signal(process, signal.SIGTERM)
        timer = threading.Timer(self.grace, self._kill, [process])
        timer.daemon = True
        timer.start()

    def _kill(self, process: subprocess.Popen[str]) -> None:
        with self._changed:
            if process in self._live:
                _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, number)
