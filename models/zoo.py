"""Published cells: every row of the paper's Tables 2 to 4 as data (``zoo.json``), with where each comes from.

Rows whose cell was never published stay in the list with ``genotype`` null, so that a table can say so.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.errors import GenasError
from models.genotype import Genotype

_FILE = Path(__file__).with_suffix(".json")


@lru_cache(maxsize=1)
def zoo() -> dict[str, dict[str, Any]]:
    """Every row by id: ``method``, ``searched_on``, ``tables``, ``status``, ``width`` (at 14 cells), ``source``
    (repository, commit, path, symbol), ``paper`` (its published numbers) and ``genotype``."""
    return json.loads(_FILE.read_text())


def zoo_genotype(name: str) -> Genotype:
    """The cells of a row.

    Raises:
        GenasError: no such row, or its cell was never published.
    """
    if name not in zoo():
        raise GenasError(f"unknown zoo row {name!r}, expected one of {', '.join(zoo())}")
    cells = zoo()[name]["genotype"]
    if cells is None:
        raise GenasError(f"zoo row {name}: its genotype was not published ({zoo()[name]['status']})")
    return Genotype.from_dict(cells)
