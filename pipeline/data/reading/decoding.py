"""Encoded pictures as RGB images of 8 bits a channel, or one line that says why not."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from genas.models.errors import GenasError
from genas.pipeline.data.reading.files import reason

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")

SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes of grey pictures whose values go to 65,535; its own conversion would cut them off at 255."""
UNSCALED = {"I": "32-bit integers", "F": "floating-point numbers"}
"""Modes whose values have no agreed range, so that no conversion to 8 bits is right."""

TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@contextmanager
def bounded() -> Iterator[None]:
    """Inside, a picture of more than ``Image.MAX_IMAGE_PIXELS``, which Pillow warns of, is an error: one of
    :data:`TOO_LARGE`. Nobody trains on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", TOO_LARGE[1])
        yield


@contextmanager
def opened(data: bytes | Path, origin: str) -> Iterator[Image.Image]:
    """An image whose header is read and whose pixels are not.

    Raises:
        GenasError: no image, one of too many pixels, or whatever decoding meets inside the block; names ``origin``.
    """
    try:
        with bounded():
            image = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data)
        with image:
            yield image
    except GenasError:
        raise
    except Exception as error:  # decoders meet broken bytes with exceptions of many kinds
        raise GenasError(f"{origin}: not a readable image ({reason(error)})") from None


def decode(data: bytes | Path, origin: str) -> Image.Image:
    """An RGB image from bytes or a file: the first frame of an animation; of 16 bits a channel the upper eight;
    transparency is dropped.

    Raises:
        GenasError: the image is truncated, too large or no image, or its values have no range; names ``origin``.
    """
    with opened(data, origin) as image:
        check_header(image, origin)
        if image.mode in SIXTEEN_BITS:
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
        if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
            image = image.convert("RGBA")  # Pillow warns where this step is left out; the colours are the same
        return image.convert("RGB")


def check_header(image: Image.Image, origin: str) -> None:
    """Refuse an image by its size and mode, which are known before its pixels are.

    Raises:
        GenasError: no pixels, or values without a range.
    """
    if not all(image.size):
        raise GenasError(f"{origin}: not a readable image ({image.width}x{image.height} pixels)")
    if image.mode in UNSCALED:
        raise GenasError(f"{origin}: values are {UNSCALED[image.mode]}, expected 8 or 16 bits a channel")


def size_of(path: Path) -> tuple[int, int]:
    """Width and height in pixels, by the header alone.

    Raises:
        GenasError: as :func:`decode`, as far as the header tells.
    """
    with opened(path, str(path)) as image:
        check_header(image, str(path))
        return image.size
