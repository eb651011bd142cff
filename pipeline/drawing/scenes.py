"""Photographs with what a detector or a segmenter sees in them, beside what is there; from a row's ``examples/``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from PIL import Image

from genas.models.errors import GenasError
from genas.pipeline.data.reading.files import json_of, reason
from genas.pipeline.drawing.style import save

SHOWN_SCORE = 0.3
"""Least score of a predicted box that is drawn."""
SHOWN_BEST = 3
"""Boxes drawn of a photograph in which none has that score."""
OPACITY = 0.55
"""Of the classes' colours over a photograph."""
IGNORE = 255
"""The label of pixels that do not count."""

CITYSCAPES = (
    (128, 64, 128),  # road
    (244, 35, 232),  # sidewalk
    (70, 70, 70),  # building
    (102, 102, 156),  # wall
    (190, 153, 153),  # fence
    (153, 153, 153),  # pole
    (250, 170, 30),  # traffic light
    (220, 220, 0),  # traffic sign
    (107, 142, 35),  # vegetation
    (152, 251, 152),  # terrain
    (70, 130, 180),  # sky
    (220, 20, 60),  # person
    (255, 0, 0),  # rider
    (0, 0, 142),  # car
    (0, 0, 70),  # truck
    (0, 60, 100),  # bus
    (0, 80, 100),  # train
    (0, 0, 230),  # motorcycle
    (119, 11, 32),  # bicycle
)
"""Red, green and blue of Cityscapes' 19 training classes, as in ``labels.py`` of cityscapesScripts."""

Box = dict[str, Any]
"""``box`` (x, y, width, height in pixels), ``label``, and ``score`` where it is predicted."""


def draw_detections(examples: Path, path: Path) -> None:
    """The photographs side by side, above with their true boxes, below with the predicted ones.

    Args:
        examples: a folder with ``boxes.json``, a list of ``{"image": name, "true": [...], "predicted": [...]}`` with
            the predicted boxes best first, and the images that it names.
        path: the PNG to write.
    """
    entries = json_of(examples / "boxes.json", "a list of examples")
    figure = Figure(figsize=(3 * len(entries), 6), layout="constrained")
    figure.suptitle(f"true boxes; below, predicted boxes with a score of {SHOWN_SCORE} or more", fontsize=10)
    grid = figure.subplots(2, len(entries), squeeze=False)
    for (above, below), entry in zip(grid.T, entries, strict=True):
        image = read(examples / entry["image"], "RGB")
        predicted, caption = worth_showing(entry["predicted"])
        _boxes(above, image, entry["true"], "tab:green")
        _boxes(below, image, predicted, "tab:red")
        below.set_title(caption, fontsize=8, y=0, pad=-12)  # under the image, where no label is
    save(figure, path)


def worth_showing(predicted: Sequence[Box]) -> tuple[Sequence[Box], str]:
    """The boxes with :data:`SHOWN_SCORE`; else the :data:`SHOWN_BEST` best, and a caption that says so."""
    reaching = [box for box in predicted if box["score"] >= SHOWN_SCORE]
    if reaching:
        return reaching, ""
    best = predicted[:SHOWN_BEST]
    return best, f"no score reaches {SHOWN_SCORE}: the best {len(best)}" if best else "no box"


def _boxes(axes: Axes, image: np.ndarray, boxes: Sequence[Box], colour: str) -> None:
    """An image with labelled boxes, the first of them on top."""
    axes.imshow(image)
    for box in reversed(boxes):
        x, y, width, height = box["box"]
        label = f"{box['label']} {box['score']:.2f}" if "score" in box else box["label"]
        axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour))
        axes.text(x, y, label, color="white", fontsize=7, va="bottom", bbox={"facecolor": colour, "pad": 1, "lw": 0})
    axes.set_axis_off()


def draw_segmentations(examples: Path, path: Path) -> None:
    """The photographs, each also under the colours of its labels and of its prediction, and a legend.

    Args:
        examples: a folder with ``classes.json``, a list of names, and for each photograph, by number from 0,
            ``0-image.png``, and class numbers as ``0-labels.png`` and ``0-prediction.png``.
        path: the PNG to write.
    """
    classes = json_of(examples / "classes.json", "a list of class names")
    palette = colours(len(classes))
    numbers = list(takewhile(lambda number: (examples / f"{number}-image.png").exists(), count()))
    figure = Figure(figsize=(9, 1.2 + 2.6 * len(numbers)), layout="constrained")
    grid = figure.subplots(len(numbers), 3, squeeze=False)
    for axes, title in zip(grid[0], ("image", "labels", "prediction"), strict=True):
        axes.set_title(title)
    for panels, number in zip(grid, numbers, strict=True):
        image = read(examples / f"{number}-image.png", "RGB")
        panels[0].imshow(image)
        for axes, kind in zip(panels[1:], ("labels", "prediction"), strict=True):
            axes.imshow(overlay(image, read(examples / f"{number}-{kind}.png", "L"), palette))
        for axes in panels:
            axes.set_axis_off()
    patches = [Patch(color=colour / 255, label=name) for name, colour in zip(classes, palette, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=7, fontsize=8, frameon=False)
    save(figure, path)


def read(path: Path, mode: str) -> np.ndarray:
    """An image file's pixels in a mode of Pillow's.

    Raises:
        GenasError: it cannot be read.
    """
    try:
        with Image.open(path) as file:
            return np.asarray(file.convert(mode))
    except (OSError, ValueError) as error:
        raise GenasError(f"{path}: not a readable image ({reason(error)})") from None


def colours(classes: int) -> np.ndarray:
    """A colour for each class, (classes, 3) in 0..255: Cityscapes' own for 19 classes."""
    if classes == len(CITYSCAPES):
        return np.array(CITYSCAPES, dtype=np.uint8)
    table = colormaps["tab20"] if classes <= 20 else colormaps["hsv"].resampled(classes + 1)
    return (255 * table(range(classes))[:, :3]).round().astype(np.uint8)


def overlay(image: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """A photograph (H, W, 3) in 0..255 under the colours of its labels (H, W); ignored pixels stay as they are."""
    seen = labels != IGNORE
    mixed = image.copy()
    mixed[seen] = ((1 - OPACITY) * image[seen] + OPACITY * palette[labels[seen]]).round()
    return mixed
