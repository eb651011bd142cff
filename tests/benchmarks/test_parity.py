"""Parity with the official evaluator: the comparison itself, and its numbers where they are at hand."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from genas.benchmarks.parity import TOLERANCES, compare, parity, read_cases, read_networks
from genas.models.errors import GenasError
from genas.models.official.vector import PATHS, official_angle
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline.config import data_root
from genas.pipeline.measures.angle import angle
from tests.bomb import Bomb

FOLDER = data_root().parent / "reference" / "official_parity"
needed = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the official evaluator's numbers are not at hand in {FOLDER}")


def quantities(**changes: Any) -> dict[str, Any]:
    base = dict.fromkeys(TOLERANCES, 1.0) | {"logits": [[1.0, 2.0], [3.0, 4.0]], "losses": [2.0, 2.5]}
    return base | changes


def test_the_comparison_by_hand() -> None:
    result = compare([quantities(losses=[2.0, 2.6], angle=1.0 + 5e-6)], [quantities()])
    assert result["losses"]["max_abs"] == pytest.approx(0.1)
    assert result["losses"]["max_rel"] == pytest.approx(0.04)
    assert result["losses"]["n"] == 2
    assert not result["losses"]["ok"]
    assert result["angle"]["ok"], "within 1e-5"
    assert result["logits"] == {"max_abs": 0.0, "max_rel": 0.0, "n": 4, "ok": True}
    assert not compare([quantities(top1=0.995)], [quantities()])["top1"]["ok"], "accuracy is exact"


def test_a_number_that_is_not_finite_does_not_pass() -> None:
    assert not compare([quantities(flatness=math.nan)], [quantities()])["flatness"]["ok"]


def test_the_thirty_paths() -> None:
    assert len(PATHS) == len(set(PATHS)) == 30
    assert PATHS[:8] == tuple(
        (0, *rest) for rest in ((2, 3, 4, 5), (2, 3, 5), (2, 4, 5), (2, 5), (3, 4, 5), (3, 5), (4, 5), (5,))
    )
    assert PATHS[-2:] == ((0, 2), (1, 2))


def copied(folder: Path, cases: int) -> Path:
    """The official evaluator's numbers of the first cases, in a folder of their own."""
    shutil.copytree(FOLDER, folder, copy_function=shutil.copyfile)
    about = json.loads((folder / "cases.json").read_text())
    about["cases"] = about["cases"][:cases]
    (folder / "cases.json").write_text(json.dumps(about))
    return folder


@needed
@pytest.mark.parametrize("cases", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_the_official_evaluators_numbers(tmp_path: Path, cases: int) -> None:
    result = parity(copied(tmp_path / "official", cases), data_root() / "cifar10")
    assert set(result) == set(TOLERANCES)
    assert {name for name, one in result.items() if not one["ok"]} == set()
    assert result["logits"]["n"] == 40 * cases


@pytest.mark.slow
@needed
def test_other_weights_do_not_pass(tmp_path: Path) -> None:
    """One weight of the stem is enough: the comparison can fail."""
    folder = copied(tmp_path / "changed", 1)
    file = folder / "final.safetensors"
    state = load_file(str(file))
    state["stem.0.weight"] = state["stem.0.weight"] * 1.01
    save_file(state, str(file))
    result = parity(folder, data_root() / "cifar10")
    assert not result["logits"]["ok"]
    assert not result["angle"]["ok"]


@needed
def test_our_angle_differs_by_the_slip_alone() -> None:
    """The corrected angle counts a dilated convolution's bias; without such a convolution both would agree."""
    about = read_cases(FOLDER)
    pair = read_networks(FOLDER, about)
    for case in about["cases"]:
        genotype = Genotype.decode(case["encoding"])
        gap = abs(angle(*pair, genotype) - official_angle(*pair, genotype))
        assert 1e-3 < gap < 0.03
    plain = Genotype.decode([4 if i else 0 for i in about["cases"][0]["encoding"]])
    assert angle(*pair, plain) == pytest.approx(official_angle(*pair, plain), abs=1e-4)


SHAPE = {"num_classes": 3, "channels": 2, "cells": 4, "cases": []}


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "[]", "5", "{}", json.dumps({**SHAPE, "channels": 10**9}), json.dumps({**SHAPE, "cells": True}),
     json.dumps({**SHAPE, "cases": 5}), json.dumps({**SHAPE, "cases": [{"encoding": [True] * 28}]})],
)  # fmt: skip
def test_odd_cases_are_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "cases.json").write_text(content)
    with pytest.raises(GenasError, match=r"cases.json: not a readable list of cases") as error:
        parity(tmp_path, tmp_path)
    assert "\n" not in str(error.value)


def test_a_pickle_in_the_folder_is_not_unpickled(tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text(json.dumps(SHAPE))
    torch.save({"state_dict": Bomb(tmp_path / "ran")}, tmp_path / "init.safetensors")
    with pytest.raises(GenasError, match=r"init.safetensors: not a readable checkpoint"):
        parity(tmp_path, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match=r"cases.json: not a readable list of cases"):
        parity(tmp_path, tmp_path)
    torch.manual_seed(0)
    (tmp_path / "cases.json").write_text(json.dumps(SHAPE))
    with pytest.raises(GenasError, match=r"init.safetensors: no such checkpoint"):
        parity(tmp_path, tmp_path)
