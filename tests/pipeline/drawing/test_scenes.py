"""Detections and segmentations: which boxes are drawn, which colours lie over which pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genas.pipeline.drawing import scenes
from tests.pipeline.drawing import made


def test_boxes_with_the_score_are_shown_else_the_best() -> None:
    boxes = [{"box": [0, 0, 1, 1], "label": "cat", "score": score} for score in (0.9, 0.3, 0.29)]
    assert scenes.worth_showing(boxes) == (boxes[:2], "")
    low = [{**box, "score": 0.2 - 0.01 * i} for i, box in enumerate([*boxes, boxes[0]])]
    assert scenes.worth_showing(low) == (low[:3], "no score reaches 0.3: the best 3")
    assert scenes.worth_showing([]) == ([], "no box")


def test_boxes_below_the_score_leave_no_trace(tmp_path: Path) -> None:
    for name, scores in {"high": (0.9,), "both": (0.9, 0.2), "low": (0.2,)}.items():
        scenes.draw_detections(made.write_detections(tmp_path / name, (scores,)), tmp_path / f"{name}.png")
    drawn = {name: (tmp_path / f"{name}.png").read_bytes() for name in ("high", "both", "low")}
    assert drawn["high"] == drawn["both"] != drawn["low"]


def test_ignored_pixels_keep_their_colour() -> None:
    image = np.full((1, 2, 3), 100, dtype=np.uint8)
    palette = np.array([[200, 0, 100]], dtype=np.uint8)
    mixed = scenes.overlay(image, np.array([[0, 255]]), palette)
    assert mixed.tolist() == [[[155, 45, 100], [100, 100, 100]]]
    assert image.max() == 100, "the photograph itself is left alone"


@pytest.mark.parametrize("classes", [2, 11, 19, 21, 150])
def test_classes_have_different_colours(classes: int) -> None:
    palette = scenes.colours(classes)
    assert palette.shape == (classes, 3)
    assert len(np.unique(palette, axis=0)) == classes


def test_cityscapes_has_its_own_colours() -> None:
    utils = pytest.importorskip("mmseg.utils")
    assert scenes.colours(19).tolist() == utils.get_palette("cityscapes")
