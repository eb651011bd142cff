"""What mkdocs runs while it builds: references of docstrings become code, as they lead nowhere."""

from __future__ import annotations

import re
from typing import Any

ROLE = re.compile(r":(?:func|mod|data|class|attr|meth):(?=<code)")


def on_page_content(html: str, **about: Any) -> str:
    """Called with every page's HTML; ``:func:`build``` has become ``:func:<code>build</code>`` by then."""
    return ROLE.sub("", html)
