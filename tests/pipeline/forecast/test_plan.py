"""The forecast of a profile as plain data, from this machine's rates and from a device's figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genas.models.errors import GenasError
from genas.pipeline.config import load_params
from genas.pipeline.context import Context
from genas.pipeline.forecast import stopwatch, transfer
from genas.pipeline.forecast.calibration import FILE, machine, remembered
from genas.pipeline.forecast.plan import PUBLISHED, forecast, missing, sets_of
from genas.pipeline.forecast.work import Images, Rate
from genas.pipeline.stages.graph import graph
from tests.conftest import Tiny

SCHEMA: dict[str, dict[str, type | tuple[type, ...]]] = {
    "": {"profile": str, "on": dict, "machines": int, "rows": list, "total": dict, "missing": list},
    "rows": {
        "stage": str,
        "row": str,
        "unknown": str,
        **dict.fromkeys(
            ("steps", "images", "flops", "memory", "disk", "seconds", "measured"), (int, float, type(None))
        ),
    },
    "total": {
        **dict.fromkeys(("seconds", "wall_seconds", "critical_seconds", "flops", "disk", "memory"), (int, float)),
        "critical_path": list,
    },
    "missing": {"data": str, "folder": str, "source": str},
}
"""What the JSON holds."""


def fits(content: dict[str, Any], part: str) -> bool:
    return {k: isinstance(content[k], kind) for k, kind in SCHEMA[part].items()} == dict.fromkeys(content, True)


@pytest.fixture
def sizes(tiny: Tiny) -> Tiny:
    """A tiny profile, all data sets of which are recorded."""
    for name, classes in (("small_shift", 3), ("digit_scenes", 10), ("digit_streets", 11)):
        folder = tiny.root / "out" / "data" / name
        folder.mkdir(parents=True)
        splits = {"train": 16, "val": 4}
        content = {"name": name, "layout": "", "digest": "0", "splits": splits, "classes": ["x"] * classes}
        (folder / "manifest.json").write_text(json.dumps(content))
    return tiny


def test_a_device_prices_every_row_and_the_json_keeps_its_form(sizes: Tiny) -> None:
    nodes = graph(load_params(sizes.root))
    found = json.loads(json.dumps(forecast(sizes.root, list(nodes), 2, "H100")))
    assert fits(found, "")
    assert all(fits(row, "rows") for row in found["rows"])
    assert fits(found["total"], "total")
    assert [(row["stage"], row["row"]) for row in found["rows"]] == list(nodes)
    assert all(row["seconds"] > 0 and not row["unknown"] for row in found["rows"])
    total = found["total"]
    whole = sum(row["seconds"] + found["on"]["start_up"] for row in found["rows"])
    assert total["seconds"] == pytest.approx(whole)
    assert total["critical_seconds"] <= total["wall_seconds"] < whole
    assert total["critical_path"][-1] == "report"


@pytest.mark.slow
def test_this_machine_is_measured_once(sizes: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "SECONDS", 0.0)
    keys = [("supernet", "small-0"), ("search", "small-angle-0"), ("retrain", "published")]
    first = forecast(sizes.root, keys)
    assert all(row["seconds"] > 0 for row in first["rows"])
    kept = (sizes.root / FILE).read_text()
    assert {"machine", "rates", "start_up", "tried"} == set(json.loads(kept))
    assert forecast(sizes.root, keys) == first
    assert (sizes.root / FILE).read_text() == kept


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["detect", "segment"])
def test_detectors_and_segmenters_are_tried_on_composed_scenes(
    sizes: Tiny, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopwatch, "SECONDS", 0.0)
    found = forecast(sizes.root, [(stage, "found")])
    rates = json.loads((sizes.root / FILE).read_text())["rates"]
    assert len(rates) == 2
    assert all(seconds > 0 and flops > 0 for seconds, flops, _ in rates.values())
    assert found["rows"][0]["seconds"] > 0


@pytest.mark.slow
def test_a_detector_is_tried_with_the_categories_that_are_learned(sizes: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "SECONDS", 0.0)
    sizes.change("detect", categories=["3"])
    tried, detected = [], transfer._detected

    def noted(context: Context, path: Path, stamps: list[float], classes: int) -> float:
        tried.append(classes)
        return detected(context, path, stamps, classes)

    monkeypatch.setattr(transfer, "_detected", noted)
    assert forecast(sizes.root, [("detect", "found")])["rows"][0]["seconds"] > 0
    assert tried == [1]


def test_rates_of_another_machine_or_none_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.parent.mkdir()
    content = {"machine": machine(), "rates": {"x": [1, 2, 3]}, "start_up": 1.0}
    path.write_text(json.dumps(content))
    assert remembered(tmp_path)["rates"] == {"x": Rate(1, 2, 3)}
    path.write_text(json.dumps({**content, "machine": {**machine(), "torch": "0.1"}}))
    assert remembered(tmp_path) == {"machine": machine(), "rates": {}}
    path.write_text("{")
    assert remembered(tmp_path) == {"machine": machine(), "rates": {}}


def test_published_sizes_stand_in_for_sets_that_are_not_there(tmp_path: Path) -> None:
    from genas.pipeline.config import PROFILES

    params = load_params(PROFILES["paper"])
    assert sets_of(tmp_path, params) == {
        **{name: PUBLISHED[name] for name in ("cifar10", "cifar100", "imagenet", "imagenet16_120")},
        **{name: PUBLISHED[name] for name in ("coco", "cityscapes")},
        "imagenet_shift": PUBLISHED["shift"],
    }


def test_a_set_of_unknown_size_leaves_its_rows_unknown(tiny: Tiny) -> None:
    (tiny.root / "out" / "data" / "small" / "manifest.json").unlink()
    found = forecast(tiny.root, [("supernet", "small-0"), ("zoo", "darts_v2_c10")], named="H100")
    supernet, zoo = found["rows"]
    assert supernet["seconds"] is None
    assert supernet["unknown"] == "data set small is not there, and how many images it has is not known"
    assert zoo["seconds"] > 0


def test_recorded_sizes_win(sizes: Tiny) -> None:
    assert sets_of(sizes.root, load_params(sizes.root))["small"] == Images(60, 30, 3)


def test_what_is_missing_is_told_with_its_source(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(tiny.root)
    assert missing(tiny.root, params) == []
    monkeypatch.setenv("GENAS_DATA", str(tiny.root / "nowhere"))
    assert missing(tiny.root, params) == [
        {"data": "small", "folder": str(tiny.root / "nowhere" / "small"), "source": ""}
    ]


def test_an_unknown_device_is_a_user_s_mistake(tiny: Tiny) -> None:
    with pytest.raises(GenasError, match="unknown device"):
        forecast(tiny.root, [("zoo", "darts_v2_c10")], named="abacus")
