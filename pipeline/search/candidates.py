"""What a search leaves: its winner, and ``candidates.parquet``, one row for each architecture that was proposed.

| column | type | |
|---|---|---|
| ``encoding`` | string | 28 integers: the operation of each of 14 edges, normal cell, then reduction cell |
| ``generation`` | int64 | of the search, from 0 |
| a measure's name | float64 | its value in its own unit, for each term of the metric |
| ``loss_0`` ... | float64 | mean validation loss in nats at each sigma, where flatness is a term |
| ``flatness_error`` | float64 | standard error of flatness over the draws, where there are several |
| ``images``, ``dropped`` | int64, bool | with early decisions: how many images were seen, whether for that reason |
| ``score`` | float64 | what the search maximised; missing in quarantine and where dropped |
| ``error`` | string | why a candidate is in quarantine, else empty |
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow

from genas.models.errors import GenasError
from genas.models.spaces.darts.cost import IMAGENET_SHAPE, network_cost
from genas.models.spaces.darts.genotype import Genotype, spelled
from genas.pipeline.context import Context

Candidate = dict[str, Any]
"""``encoding``, ``generation``, every term that was measured, ``score`` (None in quarantine or dropped) and ``error``;
with early decisions ``images`` and ``dropped``."""


def leave_winner(context: Context, winner: Candidate, **about: Any) -> dict[str, float]:
    """Write a candidate's ``genotype.json``; returns its terms, score, parameters, multiply-adds."""
    genotype = Genotype.decode(winner["encoding"]).require_two_inputs()
    terms = {name: value for name, value in winner.items() if isinstance(value, float)}
    genotype.save(context.out / "genotype.json", **about, **terms)
    cost = network_cost(genotype, 224, **IMAGENET_SHAPE)
    return {**terms, "params": cost.params, "macs": cost.macs}


def write_candidates(path: Path, candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Write the table; returns it."""
    table = pd.DataFrame(candidates)
    table["encoding"] = [spelled(code) for code in table["encoding"]]
    table["score"] = table["score"].astype(float)
    table.to_parquet(path, index=False)
    return table


def read_candidates(path: Path) -> list[Candidate]:
    """The candidates of a table, as a search holds them.

    Raises:
        GenasError: missing, truncated, or no table of candidates.
    """
    try:
        table = pd.read_parquet(path)
        table["encoding"] = [[int(number) for number in code.split()] for code in table["encoding"]]
        table["score"] = table["score"].astype(object).where(table["score"].notna(), None)
    except FileNotFoundError:
        raise GenasError(f"{path}: no such table of candidates") from None
    except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
        raise GenasError(f"{path}: not a readable table of candidates ({type(error).__name__})") from None
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
