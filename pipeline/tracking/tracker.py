"""One process that tracks the rows of a whole run: ``python -m genas.pipeline.tracking SOCKET``, started by ``genas
run``.

MLflow's import and the opening of its database cost some seconds of every row; here they are paid once. What is written
is the same as without it: :class:`genas.pipeline.tracking.live.Live` does it in this process instead of in the row's.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from pathlib import Path

from genas.pipeline.config import load_params
from genas.pipeline.tracking.live import Live


class _Row(socketserver.StreamRequestHandler):
    """One row from its first line to its last; a row that is gone before that was killed."""

    def handle(self) -> None:
        first, status = json.loads(self.rfile.readline()), "KILLED"
        root, (stage, row) = Path(first["root"]), first["key"]
        live = Live(load_params(root), root, (stage, row), first["tags"])
        for line in self.rfile:
            message = json.loads(line)
            if "status" in message:
                status = message["status"]
                break
            live(message["step"], message["values"])
        warning = live.close(status)
        self.wfile.write(json.dumps({"warning": warning}).encode() + b"\n")


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 64
    block_on_close = True
    """Whoever is connected is heard to the end."""


def serve(address: Path) -> None:
    """Track rows until standard input ends, which it does with the process that started this one."""
    with _Server(str(address), _Row) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()
