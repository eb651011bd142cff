"""The table of NAS-Bench-301: architectures of the DARTS space, and how accurate a surrogate says that they are.

The accuracy is a model of the truth, not the truth: a regression on some 60,000 networks that were trained on CIFAR-10
(Zela et al., Surrogate NAS Benchmarks, ICLR 2022). Beside it the table may have measures that other people took.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import INPUTS_PER_NODE, NODES, Genotype
from genas.pipeline.config import Params, data_root

ACCURACY = "accuracy"
"""Column of the surrogate's validation accuracy on CIFAR-10, in percent."""
LONGEST = 10_000
"""Characters of an architecture's text, which takes some 500."""


def table_of(params: Params) -> Path:
    """Where the benchmark's table is."""
    return data_root() / params.nasbench301.required.table


def genotype_of(text: Any) -> Genotype:
    """An architecture from ``{"normal": [[operation, input], ...], "reduce": [...]}``, two inputs for each node.

    Raises:
        GenasError: no architecture of the space.
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        raise GenasError(f"{repr(text)[:40]} is no architecture")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise GenasError(f"{text[:40]!r} is no JSON") from None
    cells: dict[str, list[Any]] = {}
    for name in ("normal", "reduce"):
        pairs = found.get(name) if isinstance(found, dict) else None
        wanted = INPUTS_PER_NODE * len(NODES)
        if not isinstance(pairs, list) or len(pairs) != wanted or any(_size(pair) != 2 for pair in pairs):
            raise GenasError(f"{name}: expected {wanted} pairs [operation, input]")
        cells[name] = [[*pair, NODES[place // INPUTS_PER_NODE]] for place, pair in enumerate(pairs)]
    return Genotype.from_dict(cells).require_two_inputs()


def _size(pair: Any) -> int:
    return len(pair) if isinstance(pair, list) else 0


def load_benchmark(path: Path) -> pd.DataFrame:
    """The table, with a row for each architecture by its text (:meth:`Genotype.__str__`); ``accuracy`` in percent.

    Raises:
        GenasError: nothing is there, a column is missing, an architecture is none or stands there twice, or what should
            be an accuracy in percent is none.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise GenasError(f"{path}: the benchmark's table is missing") from None
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise GenasError(f"{path}: no parquet file ({' '.join(str(error).split())})") from None
    for name in ("genotype", ACCURACY):
        if name not in table:
            raise GenasError(f"{path}: column {name} is missing")
    accuracies = pd.to_numeric(table[ACCURACY], errors="coerce").to_numpy(np.float64)
    rows: dict[str, int] = {}
    for row, (text, accuracy) in enumerate(zip(table["genotype"], accuracies, strict=True)):
        try:
            name = str(genotype_of(text))
        except GenasError as error:
            raise GenasError(f"{path} row {row}: {error}") from None
        if name in rows:
            raise GenasError(f"{path} row {row}: the architecture of row {rows[name]} again")
        if not 1 < accuracy <= 100:
            found = table[ACCURACY].tolist()[row]
            raise GenasError(f"{path} row {row}: accuracy is {found!r}, expected 1 to 100 (percent)")
        rows[name] = row
    return table.assign(accuracy=accuracies).set_index(pd.Index(list(rows), name="architecture"))
