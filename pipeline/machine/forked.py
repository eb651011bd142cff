"""Rows as forks of one process that has imported torch already: the import alone takes two to four seconds of a row.

``python -m genas.pipeline --preloaded SOCKET`` imports and then forks for each row that is handed to it;
``GENAS_PRELOADED`` names its socket, and ``python -m genas.pipeline STAGE ...`` hands over what makes a process its
own: arguments, folder, environment, standard streams. It then waits, passes SIGTERM on, and ends as the fork ended, so
that whoever started it sees no difference; if it is killed, the fork is. Without such a process, or where that does not
answer, a row runs by itself. Forks share nothing: the process has one thread, no seed is set, no GPU is touched before.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil

ADDRESS = "GENAS_PRELOADED"
"""The environment variable that names the socket."""
STREAMS = (0, 1, 2)
"""The file descriptors that are handed over."""
STOPPING = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1
"""The option of Linux's ``prctl`` that names a signal for when the parent is gone."""
LENGTH = 8
"""Bytes that say how long a request is."""


def enabled() -> bool:
    """False with ``GENAS_PRELOADED=off``, and in each of several processes, which torchrun starts."""
    return os.environ.get(ADDRESS, "").lower() != "off" and "RANK" not in os.environ


def hand_over(arguments: list[str]) -> int | None:
    """Let the preloaded process run a row; returns the exit status, or None where there is no such process."""
    address = os.environ.get(ADDRESS)
    if not address or not enabled():
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError:
            return None
        for number in STOPPING:
            signal.signal(number, lambda *_: connection.send(b"T"))
        content = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()
        socket.send_fds(connection, [len(content).to_bytes(LENGTH)], STREAMS)
        connection.sendall(content)
        answer = connection.recv(LENGTH)
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
    if not answer:
        print("error: the process that rows are forked from has ended", file=sys.stderr)
        return 1
    status = int(answer)
    if status < 0:  # a signal ended it, and so ends this
        os.kill(os.getpid(), -status)
    return status


def serve(address: Path) -> bool:
    """Fork for each row that is handed over. Returns True in each fork, which then is the row's process; and False once
    standard input has ended, as it does with the process that started this one, and the last fork."""
    threads = psutil.Process().num_threads()
    assert threads == 1, f"{threads} threads: a fork would have one of them alone"
    gc.freeze()  # what is there already is never looked through again, so its pages stay shared
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(address))
        listener.listen()
        for source in (woken, listener, sys.stdin):
            selector.register(source, selectors.EVENT_READ)
        ended = False
        while running or not ended:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                    _tell_of_ended(running)
                elif key.fileobj is listener:
                    connection, _ = listener.accept()
                    process = os.fork()
                    if not process:
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        for other in (woken, waker, *running.values()):
                            other.close()
                        _become(connection)
                        return True
                    running[process] = connection
                else:
                    ended = True
                    selector.unregister(sys.stdin)
                    selector.unregister(listener)
    return False


def _tell_of_ended(running: dict[int, socket.socket]) -> None:
    """Send the exit status of each fork that has ended to whom it ran for."""
    for process, connection in list(running.items()):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            with running.pop(process) as connection, suppress(OSError):  # that one may be gone
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _become(connection: socket.socket) -> None:
    """Take over what a row's process has of its own; from then on end with whom the row runs for, or with the parent,
    who alone could tell how the row ended."""
    head, streams, *_ = socket.recv_fds(connection, LENGTH, len(STREAMS))
    with connection.makefile("rb") as stream:
        arguments, folder, environment = json.loads(stream.read(int.from_bytes(head)))
    os.setsid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    for own, handed in zip(STREAMS, streams, strict=True):
        os.dup2(handed, own)
        os.close(handed)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    threading.Thread(target=_follow, args=[connection], daemon=True).start()


def _follow(connection: socket.socket) -> None:
    """End this row and what it has started when asked to, and at once when nobody is there any more to ask."""
    with suppress(OSError):  # a connection that is reset has nobody either
        while connection.recv(1):
            os.killpg(0, signal.SIGTERM)
    os.killpg(0, signal.SIGKILL)
