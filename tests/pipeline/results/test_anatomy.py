"""What the variance of a score consists of: sums by hand, made-up scores, and what rows leave."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genas.pipeline.config import load_params
from genas.pipeline.results.anatomy import SEEDS, anatomy, components, of_replicas, of_winners, shares
from tests.pipeline.conftest import REPEATED, leave, write_params

FACTORS = ("architecture", "split", "supernet", "noise", "images")


def test_components_by_hand() -> None:
    """Rows 1, 3 and 5, 7: means 2 and 6 by row, 3 and 5 by column, nothing left over.

    Mean squares 16, 4 and 0, so (16 - 0) / 2 for rows and (4 - 0) / 2 for columns.
    """
    values = np.array([[1.0, 3.0], [5.0, 7.0]])
    assert components(values) == pytest.approx({(0,): 8, (1,): 2, (0, 1): 0})
    assert shares(values, ["noise", "evolution"]) == pytest.approx(
        {"noise": 0.8, "evolution": 0.2, "several together": 0}
    )


def test_components_are_those_that_scores_were_made_of() -> None:
    rng, sizes = np.random.default_rng(0), (60, 40, 30)
    wanted = {(0,): 4.0, (1,): 9.0, (2,): 0.0, (0, 1): 1.0, (0, 2): 0.25, (1, 2): 0.0, (0, 1, 2): 0.5}
    values = np.zeros(sizes)
    for effect, variance in wanted.items():
        shape = [size if axis in effect else 1 for axis, size in enumerate(sizes)]
        values = values + rng.normal(0, variance**0.5, shape)
    found = components(values)
    assert list(found) == list(wanted)
    for effect, variance in wanted.items():
        assert found[effect] == pytest.approx(variance, rel=0.35, abs=0.02), effect


def test_what_moves_all_architectures_alike_has_no_share() -> None:
    architecture, split = np.array([1.0, 2.0, 4.0]), np.array([0.0, 100.0])
    values = (architecture[:, None] + split)[:, :, None, None, None] + np.zeros((1, 1, 2, 2, 2))
    assert shares(values, FACTORS, "architecture") == pytest.approx(
        {**dict.fromkeys(FACTORS, 0), "architecture": 1, "several together": 0}, abs=1e-12
    )


def test_what_images_do_in_one_split_alone_is_the_images() -> None:
    """Image sets are another split's others: by architecture, split and images, then a third of that by supernet."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (40, 12, 1, 1, 12)) + rng.normal(0, 0.5**0.5, (40, 1, 12, 1, 1))
    found = shares(np.broadcast_to(values, (40, 12, 12, 2, 12)), FACTORS, "architecture")
    assert found["images"] == pytest.approx(2 / 3, abs=0.05)
    assert found["supernet"] == pytest.approx(1 / 3, abs=0.05)
    assert found["split"] == pytest.approx(0, abs=0.01)


def test_a_factor_of_one_level_is_left_out_and_a_gap_gives_nothing() -> None:
    lines = [{"supernet": "0", "noise": n, "seed": s, "score": 2.0 * n + s} for n, s in product((0, 1), (0, 1))]
    found = anatomy(pd.DataFrame(lines), SEEDS, ["score"])
    assert found.levels == {"noise": 2, "evolution": 2}
    assert found.shares["score"] == pytest.approx({"noise": 0.8, "evolution": 0.2, "several together": 0})
    assert anatomy(pd.DataFrame(lines[:3]), SEEDS, ["score"]).shares == {}
    assert anatomy(pd.DataFrame(lines[:1]), SEEDS, ["score"]) == ({}, {})
    constant = pd.DataFrame(lines).assign(score=1.0)
    assert set(anatomy(constant, SEEDS, ["score"]).shares["score"].values()) == {0.0}


def leave_scores(root: Path) -> None:
    """Flatness by architecture and a little by supernet, the angle by architecture alone."""
    for split, seed in product((0, 1), (0, 1)):
        lines = [
            {"architecture": str(a), "draw": d, "part": p, "flatness": a + 0.5 * seed * (a == 1), "angle": float(a)}
            for d, p, a in product((0, 1), (0, 1), (0, 1, 2))
        ]
        folder = leave(root, "replica", f"digits-{split}-{seed}", {"top1": 50.0})
        pd.DataFrame(lines).to_parquet(folder / "scores.parquet")


def test_replicas_and_winners_are_read_from_their_rows(profile: Path) -> None:
    assert of_replicas(load_params(profile), profile) == {} == of_winners(load_params(profile), profile), "no rows"
    write_params(profile, REPEATED)
    params = load_params(profile)
    assert of_replicas(params, profile) == {} == of_winners(params, profile)
    leave_scores(profile)
    found = of_replicas(params, profile)["digits"]
    assert found.levels == {"architecture": 3, "split": 2, "supernet": 2, "noise": 2, "images": 2}
    assert found.shares["angle"]["architecture"] == pytest.approx(1)
    flatness = found.shares["flatness"]
    assert flatness["architecture"] + flatness["supernet"] == pytest.approx(1)
    assert 0 < flatness["supernet"] < 0.2
    for row, axes in params.matrix.reseed.rows().items():
        leave(profile, "reseed", row, {"score": 2.0 * int(axes["noise"]) + int(axes["seed"])})
    (winners,) = of_winners(params, profile).items()
    assert winners[0] == "digits, flatness"
    assert winners[1].shares["score"] == pytest.approx({"noise": 0.8, "evolution": 0.2, "several together": 0})
    (profile / "out/reseed/digits-flatness-0-1-1/metrics.json").write_text(json.dumps({}))
    assert of_winners(params, profile) == {}, "one has not run"
