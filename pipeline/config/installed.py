"""What installed packages offer under entry points: measures and layouts of data sets, each a module.

Installed packages are looked through only for a name that the project itself lacks: that takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Literal

from genas.models.errors import GenasError

Kind = Literal["measures", "layouts"]


@cache
def offered(what: Kind) -> Mapping[str, str]:
    """The module of each name in the group ``genas.measures`` or ``genas.layouts``.

    Raises:
        GenasError: two packages offer different modules under one name.
    """
    found: dict[str, str] = {}
    for entry in entry_points(group=f"genas.{what}"):
        if found.setdefault(entry.name, entry.value) != entry.value:
            both = f"{found[entry.name]} and {entry.value}"
            raise GenasError(f"installed packages offer two {what} of the name {entry.name}: {both}; uninstall one")
    return found


def load(what: Kind, name: str) -> ModuleType:
    """The module that is offered under a name."""
    return import_module(offered(what)[name])
