"""How much each slip of the released code changes: what is toggled, and what the table says."""

from __future__ import annotations

import numpy as np
import pytest

from genas.benchmarks import sensitivity
from genas.models.errors import GenasError
from genas.pipeline.config import PROFILES, load_params
from tests.conftest import Tiny

OWN, RELEASED = (load_params(PROFILES[name]).measures for name in ("paper", "official"))
NAMES = [
    "flatness.noise: cumulative",
    "flatness.common: false",
    "recalibrate: official",
    "recalibrate_augmented: true",
    "mean: batches",
    "angle.version: official",
]


def test_every_slip_of_the_measures_is_toggled_alone() -> None:
    found = sensitivity.differing(OWN, RELEASED)
    assert list(found) == NAMES
    assert sensitivity.differing(RELEASED, RELEASED) == {}
    for slip in found.values():
        changed = sensitivity.with_released(OWN, RELEASED, [slip])
        differing = [key for key, value in changed if value != getattr(OWN, key)]
        assert len(differing) == 1 or differing == ["batch_size", "mean"]
    everything = sensitivity.with_released(OWN, RELEASED, found.values())
    assert everything.model_copy(update={"scorer": RELEASED.scorer}) == RELEASED


def test_the_order_by_hand() -> None:
    before = {name: np.array([1.0, 2.0, 3.0, 4.0]) for name in ("flatness", "accuracy", "angle")}
    after = {**before, "accuracy": np.array([1.0, 2.0, 4.0, 3.0])}
    found = sensitivity.compared(before, after, OWN)
    assert found["accuracy"] == {"tau": pytest.approx(4 / 6), "place_of_the_new_winner": 2}
    assert found["flatness"] == {"tau": pytest.approx(1), "place_of_the_new_winner": 1}


def test_a_supernet_that_is_not_trained_is_one_line(tiny: Tiny) -> None:
    with pytest.raises(GenasError, match=r"^supernet@small-0 is not trained: genas run supernet@small-0 --profile "):
        sensitivity.run(tiny.root, "small", 4)
    with pytest.raises(GenasError, match=r"^profile tiny: no supernet of 'large', defined are small$"):
        sensitivity.run(tiny.root, "large", 4)


@pytest.mark.slow
def test_a_table_of_a_tiny_supernet(trained: Tiny) -> None:
    (trained.root / "out/supernet/small-0/metrics.json").write_text("{}")
    trained.change("matrix", supernet__seed=[0])  # and not the 1 that stands for chance
    result = sensitivity.run(trained.root, "small", 6)
    assert list(result["rows"]) == [
        *NAMES,
        "all of these",
        "supernet.split: first",
        "supernet.unselected: first",
        "chance: another draw of the noise",
        "chance: another supernet",
    ]
    angles = {name: row["angle"]["tau"] for name, row in result["rows"].items()}
    untouched = [angles["flatness.noise: cumulative"], angles["recalibrate: official"]]
    assert untouched == pytest.approx([1, 1]), "no noise and no statistics in it"
    assert angles["chance: another supernet"] < 1
    lines = sensitivity.markdown(result).splitlines()
    assert lines[0] == "| setting | flatness | accuracy | angle | angle + flatness |"
    assert len(lines) == 2 + len(result["rows"])
