"""Replicas of a supernet: its bytes, its splits, and what is scored in it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from genas.models.errors import GenasError
from genas.pipeline.analysis import replica
from genas.pipeline.config import load_params
from genas.pipeline.results.anatomy import of_replicas
from tests.conftest import Tiny

FILES = ("initial.safetensors", "trained.safetensors", "scores.parquet")


def run(tiny: Tiny, split: int, seed: int) -> dict[str, bytes]:
    context = tiny.context("replica", dataset="small", split=str(split), seed=str(seed))
    metrics = replica.run(context)
    assert set(metrics) == {"loss", "top1", "train_loss"}
    assert context.notes["scorer"] in ("native", "fast")
    return {name: (context.out / name).read_bytes() for name in FILES}


def test_a_replica_is_a_supernet_whose_split_has_a_seed_of_its_own(trained: Tiny) -> None:
    trained.change("measures", images=12)
    found = {(split, seed): run(trained, split, seed) for split, seed in product((0, 1), (0, 1))}
    for name in FILES[:2]:
        assert found[0, 0][name] == trained.bytes_of("supernet", "small-0", name), "of equal seeds, the same bytes"
    assert found[1, 0][FILES[0]] == found[0, 0][FILES[0]], "its weights begin alike"
    assert len({files[FILES[1]] for files in found.values()}) == 4
    assert run(trained, 1, 1) == found[1, 1]

    tables = {
        key: pd.read_parquet(trained.root / f"out/replica/small-{key[0]}-{key[1]}/scores.parquet") for key in found
    }
    for table in tables.values():
        assert table.columns.tolist() == ["architecture", "draw", "part", "flatness", "accuracy", "angle"]
        assert len(table) == 3 * 2 * 2
        assert table["architecture"].tolist() == tables[0, 0]["architecture"].tolist(), "the same in all"
        by_noise = table.set_index(["draw", "part", "architecture"])
        assert np.array_equal(by_noise.loc[0]["accuracy"], by_noise.loc[1]["accuracy"]), "without noise"
        assert (by_noise.loc[0]["flatness"] != by_noise.loc[1]["flatness"]).all()
        assert table.groupby("architecture")["angle"].nunique().tolist() == [1, 1, 1], "of the weights alone"
    angle = of_replicas(load_params(trained.root), trained.root)["small"].shares["angle"]
    assert angle["noise"] == angle["images"] == 0
    assert sum(angle.values()) == pytest.approx(1)


def test_too_few_images_are_one_line(tiny: Tiny) -> None:
    message = r"^replica\.parts: 2 of measures\.images 32 each, but 30 are held out$"
    with pytest.raises(GenasError, match=message):
        run(tiny, 0, 0)
