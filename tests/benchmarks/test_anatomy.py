"""What the variance of a score consists of: sums by hand, made-up scores, and a tiny supernet's."""

from __future__ import annotations

import numpy as np
import pytest

from genas.benchmarks import anatomy
from genas.models.errors import GenasError
from tests.conftest import Tiny


def test_components_by_hand() -> None:
    """Rows 1, 3 and 5, 7: means 2 and 6 by row, 3 and 5 by column, nothing left over.

    Mean squares 16, 4 and 0, so (16 - 0) / 2 for rows and (4 - 0) / 2 for columns.
    """
    found = anatomy.components(np.array([[1.0, 3.0], [5.0, 7.0]]))
    assert found == pytest.approx({(0,): 8, (1,): 2, (0, 1): 0})


def test_components_are_those_that_scores_were_made_of() -> None:
    rng, sizes = np.random.default_rng(0), (60, 40, 30)
    wanted = {(0,): 4.0, (1,): 9.0, (2,): 0.0, (0, 1): 1.0, (0, 2): 0.25, (1, 2): 0.0, (0, 1, 2): 0.5}
    values = np.zeros(sizes)
    for effect, variance in wanted.items():
        shape = [size if axis in effect else 1 for axis, size in enumerate(sizes)]
        values = values + rng.normal(0, variance**0.5, shape)
    found = anatomy.components(values)
    assert list(found) == list(wanted)
    for effect, variance in wanted.items():
        assert found[effect] == pytest.approx(variance, rel=0.35, abs=0.02), effect


def test_what_moves_all_architectures_alike_has_no_share() -> None:
    architecture, supernet = np.array([1.0, 2.0, 4.0]), np.array([0.0, 100.0])
    values = (architecture[:, None] + supernet)[:, :, None, None] + np.zeros((1, 1, 2, 2))
    found = anatomy.shares(values)
    assert found["architecture"] == pytest.approx(1)
    assert found["architecture x supernet"] == pytest.approx(0, abs=1e-12)
    assert set(found) == {name for name in found if name.startswith("architecture")}
    assert len(found) == 8


def test_too_few_images_are_one_line(trained: Tiny) -> None:
    (trained.root / "out/supernet/small-0/metrics.json").write_text("{}")
    with pytest.raises(GenasError, match=r"^--parts 9 of \d+ images each: there are \d+ held-out images$"):
        anatomy.run(trained.root, "small", 2, 2, 2, 9)


@pytest.mark.slow
def test_a_table_of_tiny_supernets(trained: Tiny) -> None:
    (trained.root / "out/supernet/small-0/metrics.json").write_text("{}")
    trained.change("measures", images=8)
    result = anatomy.run(trained.root, "small", 4, 2, 2, 2)
    angle = result["rows"]["angle"]
    assert angle["architecture"] + angle["architecture x supernet"] == pytest.approx(1), "no noise, no images in it"
    for row in result["rows"].values():
        assert sum(row.values()) == pytest.approx(1)
    assert result["rows"]["accuracy"]["architecture x noise"] == 0
    assert len(anatomy.markdown(result).splitlines()) == 2 + 8
