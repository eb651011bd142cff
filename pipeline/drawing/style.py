"""What every picture has in common: its colours, its boxes and axes, how it is written.

No pyplot: every picture is its own ``Figure``, so that nothing here changes matplotlib's state for others. The same
data gives the same bytes.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

LINES = ("#1f6fb4", "#d1495b", "#3a8c5c", "#8a5fb0", "#d98a2b", "#4a4a4a")
"""Colours of lines and points, in order of use."""

NAMES = {
    "lr": "learning rate",
    "train_loss": "training loss (nats)",
    "loss": "validation loss (nats)",
    "loss_0": "validation loss at the smallest sigma (nats)",
    "top1": "top-1 (%)",
    "top5": "top-5 (%)",
    "miou": "mIoU (%)",
    "params": "parameters",
    "macs": "multiply-adds",
}
"""How axes are called that show columns of these names."""


def named(column: str) -> str:
    """The title of an axis that shows a column."""
    return NAMES.get(column, column.replace("_", " "))


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of the 256 colours that fit best, a third as large, without the version of the software in it; the
    folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    image = Image.open(drawn).convert("RGB")
    image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, "png")


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str, size: float) -> None:
    """A rounded box centred on (x, y), in the axes' own units."""
    style = f"round,pad=0,rounding_size={min(width, height) / 4}"
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(
        FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=colour, edgecolor="#555555", lw=0.8, zorder=3)
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=size, zorder=4)


def plain(axes: Axes) -> None:
    """A pale grid and no frame at the top and at the right."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
