"""Run a command that ends with the process that started it, however that ended: ``python guard.py PID COMMAND...``.

The guard stands between the two, in a process group with the command and all that this starts. It is run by its path
and imports nothing but the standard library, so that it costs little.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

POLL = 1.0
"""Seconds between two looks at the parent."""

GRACE = 60.0
"""Seconds between SIGTERM, on which a stage saves what it has, and SIGKILL."""


def guarded(command: Sequence[str]) -> list[str]:
    """``command`` behind a guard of this process; to be started in a process group of its own."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def follow(parent: int) -> None:
    """End this process group once the process ``parent``, which started the guard, is gone."""
    while os.getppid() == parent:
        time.sleep(POLL)
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


def main(parent: int, command: Sequence[str]) -> int:
    """Run ``command``; returns its exit status as a shell does, 128 and the signal's number where one ended it."""
    process = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the whole group gets it; the guard ends after the command
    threading.Thread(target=follow, args=[parent], daemon=True).start()
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
