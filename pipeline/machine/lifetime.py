"""Processes that end with another one, of which they are no children: stages, which DVC starts, with their run."""

from __future__ import annotations

import os
import signal
import threading
import time

import psutil

PARENT = "GENAS_PARENT"
"""The environment variable that names the process with which a stage ends."""

POLL = 1.0
"""Seconds between two looks."""

GRACE = 60.0
"""Seconds between SIGTERM, on which a stage saves what it has, and SIGKILL."""


def end_with_parent() -> None:
    """Where ``GENAS_PARENT`` names a process, end this one by SIGTERM once that is gone; never waits."""
    parent = os.environ.get(PARENT, "")
    if parent.isdecimal():
        threading.Thread(target=_follow, args=[int(parent)], daemon=True).start()


def _follow(pid: int) -> None:
    """Look for process ``pid`` until it is gone, then end this one."""
    try:
        parent = psutil.Process(pid)
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
            time.sleep(POLL)
    except psutil.NoSuchProcess:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
