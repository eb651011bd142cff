"""What the table of stages is written with: which rows there are, what they read, which parameters they depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from genas.pipeline.config import DIGITS, Params
from genas.pipeline.stages.stage import Axes, Key, Keys, Reads, Rows


def single(params: Params) -> Mapping[str, Axes]:
    """One row, without axes."""
    return {"": {}}


def matrix(name: str) -> Rows:
    """The rows of a section of ``matrix``: every combination of its axes."""
    return lambda params: getattr(params.matrix, name).rows()


def laboratory(section: str, *axes: str) -> Rows:
    """The rows of a section of the laboratory, which are written out there by name."""

    def rows(params: Params) -> Mapping[str, Axes]:
        named = getattr(params.nasbench201, section).items()
        return {name: {axis: str(getattr(one, axis)) for axis in axes} for name, one in named}

    return rows


def keys(*same: str, prefix: str = "", **named: str) -> Keys:
    """Keys shown under their own names, of a section ``prefix`` if given, and others that depend on the axes."""
    shown = {name: prefix + name for name in same}
    return lambda params, axes: {**{name: key.format(**axes) for name, key in named.items()}, **shown}


def origin(params: Params, axes: Axes) -> Iterable[Key]:
    """The data set of the profile that a derived one is made from; digits are the library's, whatever is called so."""
    origin = params.data[axes["dataset"]].derive
    return [("data", origin)] if origin not in (None, DIGITS) else []


def looked_into(stage: str, *axes_of: str) -> Reads:
    """What a row reads that looks into a supernet, whose row has the axes ``axes_of`` of its own."""
    return lambda params, axes: [("data", axes["dataset"]), (stage, "-".join(axes[name] for name in axes_of))]


def retrained(*datasets: Callable[[Params], str]) -> Reads:
    """What a row reads that judges a retrained network on data sets."""
    return lambda params, axes: [*(("data", name(params)) for name in datasets), ("retrain", axes["row"])]


def cell(params: Params, axes: Axes) -> Iterable[Key]:
    """What a row reads that retrains a cell."""
    stage, _, row = params.rows[axes["row"]].cell.partition("/")
    return [("data", params.rows[axes["row"]].dataset), (stage, row)]


def recipe(params: Params, axes: Axes) -> Mapping[str, str]:
    """Keys of a row that retrains a cell."""
    row = axes["row"]
    return {"retrain": "retrain", "row": f"rows.{row}", "recipe": f"recipes.{params.rows[row].recipe}"}


def rerated(params: Params, axes: Axes) -> Mapping[str, str]:
    """Keys of a row that rates the candidates of a search anew."""
    metric = params.matrix.search.rows()[axes["search"]]["metric"]
    return {"measures": "measures", "metric": f"metrics.{metric}"}
