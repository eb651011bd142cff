"""The stage of the measures: a row depends on the code of the measures that it takes, and on no other's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genas.pipeline.machine import imports
from genas.pipeline.scoring import code
from genas.pipeline.stages import STAGES
from tests.conftest import Tiny


def left(tiny: Tiny) -> dict[str, dict[str, Any]]:
    """What the stage leaves, by file."""
    context = tiny.context("measures")
    code.run(context)
    return {str(p.relative_to(context.out)): json.loads(p.read_text()) for p in sorted(context.out.rglob("*.json"))}


def test_each_row_that_takes_measures_has_a_file_of_theirs(tiny: Tiny) -> None:
    files = left(tiny)
    assert set(files["search/small-angle_flatness-0.json"]["code"]) == {"angle", "flatness"}
    assert set(files["search/small-accuracy-0.json"]["code"]) == {"accuracy"}
    assert set(files["rerank/small-angle_flatness-0-16.json"]["code"]) == {"angle", "flatness"}
    assert set(files["agreement/small-0.json"]["code"]) == {"flatness", "angle", "accuracy", "loss", "params", "macs"}
    assert files["agreement/small-0.json"]["metric"] is None
    params = tiny.context("measures").params
    rows = [f"{name}/{row}.json" for name, one in STAGES.items() for row, axes in one.rows(params).items()
            if list(one.measures(params, axes))]  # fmt: skip
    assert sorted(rows) == sorted(files)


def test_the_same_code_gives_the_same_bytes_and_rows_that_are_gone_leave_nothing(tiny: Tiny) -> None:
    first = left(tiny)
    assert left(tiny) == first
    tiny.change("matrix", search__metric=["flatness", "angle_flatness"])
    assert set(first) - set(left(tiny)) == {"search/small-angle-0.json", "search/small-accuracy-0.json"}


def test_another_metric_changes_only_the_rows_that_have_it(tiny: Tiny) -> None:
    before = left(tiny)
    tiny.change("metrics", angle_flatness__terms={"angle": 2, "flatness": 16}, angle_flatness__combine="rank")
    after = left(tiny)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if "angle_flatness" in name}


def test_stages_without_rows_have_a_folder_that_the_report_can_read(tiny: Tiny) -> None:
    tiny.change("matrix", rerank={"search": [], "gamma": []}, detect={"row": []})
    left(tiny)
    assert [list((tiny.root / "out" / stage).iterdir()) for stage in ("rerank", "detect")] == [[], []]
    assert not (tiny.root / "out/search").exists(), "its own rows make it"


def test_another_measure_changes_only_the_rows_that_take_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit of the angle's module, seen through the digest that the stage takes of its files."""
    before, real = left(tiny), imports.digest

    def edited(files: set[Path]) -> str:
        return real(files) + ("edited" if Path("pipeline/measures/angle.py") in files else "")

    monkeypatch.setattr(code, "digest", edited)
    after = left(tiny)
    changed = {name for name in before if before[name] != after[name]}
    expected = {"search/small-angle-0.json", "search/small-angle_flatness-0.json", "agreement/small-0.json"}
    assert changed == expected | {name for name in before if name.startswith(("rerank/", "replica/"))}
