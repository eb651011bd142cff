"""Ports of this machine."""

from __future__ import annotations

import socket

from genas.models.errors import GenasError

HOST = "127.0.0.1"
"""All that is served here is served to this machine alone."""


def require_free(port: int) -> None:
    """Return if nothing listens on ``port``.

    Raises:
        GenasError: something does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise GenasError(f"port {port} is in use, choose another with --port") from None
