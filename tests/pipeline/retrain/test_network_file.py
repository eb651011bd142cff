"""A network file must be the row's own, whoever laid it there."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import Preprocessing, read_header
from genas.models.networks.published import zoo_genotype
from genas.models.spaces.darts.genotype import Genotype, random_genotype
from genas.pipeline.context import Context
from genas.pipeline.retrain.network_file import first_difference, retrained
from genas.pipeline.transfer import curvature, shift
from genas.pipeline.transfer.detect import stage as detect
from genas.pipeline.transfer.segment import stage as segment
from tests.conftest import Tiny
from tests.networks import write_network

PIXELS = Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
FILE = "out/retrain/found/weights.safetensors"
CELL = "out/search/small-flatness-0/genotype.json"


@pytest.fixture
def laid(tiny: Tiny) -> Tiny:
    """A network in the row's place, of the width, the cells and the stem that the row says."""
    header = read_header(write_network(tiny.root / FILE, PIXELS, 3))
    (tiny.root / CELL).parent.mkdir(parents=True)
    header.genotype.save(tiny.root / CELL)
    return tiny


def message(profile: Tiny) -> str:
    with pytest.raises(GenasError) as error:
        retrained(profile.context("shift", row="found"))
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{profile.root}/", "")


def test_the_rows_own_file_is_taken_with_or_without_its_genotype(laid: Tiny) -> None:
    assert retrained(laid.context("shift", row="found")) == laid.root / FILE
    (laid.root / CELL).unlink()
    assert retrained(laid.context("shift", row="found")) == laid.root / FILE


@pytest.mark.parametrize(("key", "other", "found"), [("width", 6, 4), ("layers", 4, 3), ("stem", "cifar", "imagenet")])
def test_another_shape_is_named(laid: Tiny, key: str, other: object, found: object) -> None:
    laid.change("rows", **{f"found__{key}": other})
    assert message(laid) == f"{FILE}: a network of {key} {found}, expected {other} (rows.found.{key})"


def test_another_cell_is_named_with_its_first_edge(laid: Tiny) -> None:
    genotype = random_genotype(np.random.default_rng(8))
    genotype.save(laid.root / CELL)
    said = message(laid)
    assert said.startswith(f"{FILE}: a network of another cell than {CELL} (normal cell, edge 0->2: ")


def test_no_file_is_named(tiny: Tiny) -> None:
    assert message(tiny) == f"{FILE}: no such weights file"


def test_differences_of_cells() -> None:
    darts = zoo_genotype("darts_v2_c10")
    edges = json.loads(json.dumps(darts.to_dict()))
    edges["reduce"][-1][0] = "dil_conv_5x5"
    operation, source, target = darts.reduce[-1]
    said = first_difference(Genotype.from_dict(edges), darts)
    assert said == f"reduction cell, edge {source}->{target}: dil_conv_5x5, expected {operation}"
    assert first_difference(zoo_genotype("fairdarts_b_c10"), darts) == (
        "normal cell, edge 0->3: none, expected sep_conv_3x3"
    )
    with pytest.raises(ValueError, match="equal"):
        first_difference(darts, darts)


READERS = {"shift": shift.run, "curvature": curvature.run, "detect": detect.run, "segment": segment.run}


@pytest.mark.parametrize("run", READERS.values(), ids=READERS)
def test_every_reader_asks(laid: Tiny, run: Callable[[Context], object], request: pytest.FixtureRequest) -> None:
    laid.change("rows", found__width=8)
    stage = request.node.callspec.id
    with pytest.raises(GenasError, match=r"a network of width 4, expected 8 \(rows\.found\.width\)"):
        run(laid.context(stage, row="found"))
