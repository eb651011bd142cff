"""Published cells: every row of the paper's Tables 2 to 4 as data (``published.json``), with where each comes from.

Rows whose cell was never published stay in the list with ``genotype`` null, so that a table can say so.
:mod:`genas.models.networks.zoo` makes timm models of the others.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from genas.models.errors import GenasError
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.darts.cost import IMAGENET_SHAPE, fit_width, official_cost
from genas.models.spaces.darts.genotype import Genotype

_FILE = Path(__file__).with_suffix(".json")
BUDGET = 6e8
"""Multiply-adds near which the paper compares networks (Section 4.1); a row without a width is fitted to it."""


@cache
def zoo() -> dict[str, dict[str, Any]]:
    """Every row by id: ``method``, ``searched_on``, ``tables``, ``status`` (how sure), ``width`` (at 14 cells) and
    ``width_from``, ``source`` (repository, commit, path, symbol), ``paper`` (its published numbers), ``note`` and
    ``genotype``, whose edges stand in the order of the source."""
    return json.loads(_FILE.read_text())


def zoo_row(name: str) -> dict[str, Any]:
    """A row that has a cell.

    Raises:
        GenasError: no such row, or its cell was never published.
    """
    if name not in zoo():
        raise GenasError(f"unknown zoo row {name!r}, expected one of {', '.join(zoo())}")
    row = zoo()[name]
    if row["genotype"] is None:
        raise GenasError(f"zoo row {name}: its genotype was not published ({row['note']})")
    return row


def zoo_genotype(name: str) -> Genotype:
    """The cells of a row.

    Raises:
        GenasError: as :func:`zoo_row`.
    """
    return Genotype.from_dict(zoo_row(name)["genotype"])


@cache
def zoo_width(name: str) -> int:
    """The width of a row's network: the published or inferred one, else that nearest to :data:`BUDGET`.

    Raises:
        GenasError: as :func:`zoo_row`.
    """
    return zoo_row(name)["width"] or fit_width(zoo_genotype(name), macs=BUDGET, layers=IMAGENET_SHAPE["layers"])


class ZooCost(NamedTuple):
    """A row's network at 224 pixels, 14 cells and 1000 classes, and whether the paper's rounded figures agree.

    Attributes:
        params: parameters without the auxiliary head.
        macs: multiply-adds as the official counter prints them.
        params_match: whether ``params`` rounds to the figure in the paper; None where there is none.
        macs_match: likewise.
    """

    params: int
    macs: int
    params_match: bool | None
    macs_match: bool | None


def _agrees(count: float, printed: float | None, decimals: int) -> bool | None:
    """Whether a count rounds to the printed figure, which has ``decimals`` or, as far as it shows, more."""
    if printed is None:
        return None
    return round(count, max(decimals, len(str(printed).partition(".")[2]))) == printed


def zoo_cost(name: str) -> ZooCost:
    """What a row's network costs, by the convention of the official counter.

    Raises:
        GenasError: as :func:`zoo_row`.
    """
    genotype, paper = zoo_genotype(name), zoo()[name]["paper"] or {}
    shape = {**IMAGENET_SHAPE, "width": zoo_width(name)}
    cells = zoo()[name]["genotype"]
    listed = ([Edge(*edge) for edge in cells["normal"]], [Edge(*edge) for edge in cells["reduce"]])
    params, macs = official_cost(genotype, listed=listed, **shape)
    return ZooCost(
        params, macs, _agrees(params / 1e6, paper.get("params_M"), 1), _agrees(macs / 1e9, paper.get("flops_G"), 2)
    )


def zoo_table() -> list[dict[str, Any]]:
    """Every row with what its network costs and whether the paper's figures agree, as plain data.

    ``width``, ``params``, ``macs`` and ``match`` are null where no cell was published.
    """
    table = []
    for name, row in zoo().items():
        cost = zoo_cost(name) if row["genotype"] else None
        table.append(
            {
                "id": name,
                "method": row["method"],
                "dataset": row["searched_on"],
                "tables": row["tables"],
                "status": row["status"],
                "width": cost and zoo_width(name),
                "width_from": row["width_from"],
                "params": cost and cost.params,
                "macs": cost and cost.macs,
                "paper": row["paper"],
                "match": cost and {"params": cost.params_match, "macs": cost.macs_match},
                "note": row["note"],
                "source": row["source"],
            }
        )
    return table
