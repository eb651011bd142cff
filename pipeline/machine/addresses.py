"""Addresses of servers, as messages may show them."""

from __future__ import annotations

import re

_ACCOUNT = re.compile(r"(?<=://)\S*@|\b[\w.+-]+:(?!//)[^\s@]+@")
"""From a scheme to the last @, as a password may hold any character; or user and password without a scheme."""
_SECRET = re.compile(r"(?i)\b((?:password|passwd|token|secret|api_?key|access_?key)=)[^\s&'\"]+")


def masked(text: object) -> str:
    """A text with ``***`` in the place of user and password in each address, and of passwords and tokens in queries."""
    return _SECRET.sub(r"\1***", _ACCOUNT.sub("***@", str(text)))
