"""An image data set as tables of small images: the embedded digits, and copies of other sets at fewer pixels.

A copy is made as ImageNet16 is of ImageNet (Chrabaszcz et al., 2017): averaged over boxes; of what is not square, the
middle.
"""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow
import pyarrow.parquet
from PIL import Image, ImageOps

from genas.pipeline.data.reading.images import Pictures


def _png(image: Image.Image, pixels: int | None) -> bytes:
    if pixels is not None and image.size != (pixels, pixels):
        image = ImageOps.fit(image, (pixels, pixels), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def write_tables(root: Path, pixels: int | None, splits: dict[str, Pictures], classes: list[str]) -> None:
    """``train.parquet`` and ``test.parquet``, and ``classes.txt`` where there are ``classes``.

    Args:
        root: the folder, which is there.
        pixels: height and width of the images; None leaves them as they are.
        splits: ``train`` and ``val``.
        classes: their names in label order, or none.

    Raises:
        GenasError: an image that cannot be read, named.
    """
    for split, name in (("train", "train"), ("val", "test")):
        source = splits[split]
        images = [_png(source.picture(index), pixels) for index in range(len(source))]
        columns = {"image": images, "label": [source.label(index) for index in range(len(source))]}
        pyarrow.parquet.write_table(pyarrow.table(columns), root / f"{name}.parquet", compression="none")
    if classes:
        (root / "classes.txt").write_text("\n".join(classes) + "\n")
