"""The table of candidates, there and back, and what is said of one that cannot be read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.search.candidates import Candidate, read_candidates, write_candidates


def candidates() -> list[Candidate]:
    codes = [list(random_genotype(np.random.default_rng(seed)).encode()) for seed in range(3)]
    return [
        {"encoding": codes[0], "generation": 0, "flatness": 0.25, "score": 12.5, "error": ""},
        {"encoding": codes[1], "generation": 0, "score": None, "error": "RuntimeError: out of memory"},
        {"encoding": codes[2], "generation": 1, "flatness": 0.5, "score": 25.0, "error": ""},
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_candidates(tmp_path / "table.parquet", candidates())
    found = read_candidates(tmp_path / "table.parquet")
    assert math.isnan(found[1].pop("flatness"))
    assert found == candidates()


def test_the_columns_and_types_are_those_of_the_schema(tmp_path: Path) -> None:
    write_candidates(tmp_path / "table.parquet", candidates())
    types = {name: str(kind) for name, kind in pd.read_parquet(tmp_path / "table.parquet").dtypes.items()}
    assert types.pop("encoding") == types.pop("error")
    assert types == {"generation": "int64", "flatness": "float64", "score": "float64"}


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match=r"none.parquet: no such table of candidates"):
        read_candidates(tmp_path / "none.parquet")
    whole = tmp_path / "whole.parquet"
    write_candidates(whole, candidates())
    (tmp_path / "half.parquet").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(GenasError, match=r"half.parquet: not a readable table of candidates"):
        read_candidates(tmp_path / "half.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(GenasError, match=r"other.parquet: not a readable table of candidates \(KeyError\)"):
        read_candidates(tmp_path / "other.parquet")
