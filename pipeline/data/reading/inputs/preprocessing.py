"""From decoded images to network input: the transforms of training and of evaluation.

``timm`` resizes with Pillow. ``official`` is what the released ImageNet weights were trained with: a square crop
without aspect jitter, PCA lighting noise, and every resize by OpenCV. ``released`` is the same with two slips of the
code: lighting is clipped and cut down to bytes, and a crop that fails is black where it leaves the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torchvision import transforms

from genas.models.spaces.base.preprocessing import Preprocessing
from genas.pipeline.config import PixelParams
from genas.pipeline.data.reading.images import Pictures, channel_statistics

PCA_VALUES = torch.tensor([0.2175, 0.0188, 0.0045])
"""Eigenvalues of the covariance of ImageNet's RGB pixels in [0, 1] (Krizhevsky et al., 2012, Section 4.1)."""
PCA_VECTORS = torch.tensor(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]],
)
"""The eigenvectors, one a column."""
DRAWS = 10
"""Of a crop, before it is given up."""
LIGHTING = 0.1
"""Standard deviation of the official PCA noise, in units of the eigenvalues."""


def opencv_resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """The RGB image at another size, bilinear without antialiasing, as OpenCV does it."""
    return Image.fromarray(cv2.resize(np.asarray(image), (width, height), interpolation=cv2.INTER_LINEAR))


def square_crop(image: Image.Image, size: int, scale_min: float) -> Image.Image:
    """A random square of ``scale_min`` to 1 of the image's area, or the largest central one where ten draws do not fit,
    at ``size`` x ``size`` pixels."""
    top, left, height, width = transforms.RandomResizedCrop.get_params(image, [scale_min, 1.0], [1.0, 1.0])
    return opencv_resize(image.crop((left, top, left + width, top + height)), size, size)


def place(side: int, room: int) -> int:
    """Where a random crop of a side begins: anywhere inside, or, of one that is larger, anywhere around the image."""
    return int(torch.randint(min(room - side, 0), max(room - side, 0) + 1, ()))


def padded_crop(image: Image.Image, size: int, scale_min: float) -> Image.Image:
    """The same, but where ten draws do not fit the tenth of them, black where it leaves the image."""
    width, height = image.size
    for _ in range(DRAWS):
        side = round(math.sqrt(width * height * float(torch.empty(()).uniform_(scale_min, 1.0))))
        left, top = place(side, width), place(side, height)
        if side <= min(width, height):
            break
    return opencv_resize(image.crop((left, top, left + side, top + side)), size, size)


def lighting(pixels: Tensor) -> Tensor:
    """Pixels (3, H, W) in [0, 1] with one random shift of their colour along the principal components of ImageNet."""
    shift = PCA_VECTORS @ (torch.randn(3) * LIGHTING * PCA_VALUES)
    return pixels + shift[:, None, None]


def byte_lighting(pixels: Tensor) -> Tensor:
    """The same, clipped to [0, 1] and cut down to whole 255ths, as numpy makes bytes of floats."""
    return lighting(pixels).mul(255).clamp(0, 255).floor().div(255)


def shorter_side(image: Image.Image, size: int) -> Image.Image:
    """The image with its shorter side at ``size`` pixels, by OpenCV."""
    scale = size / min(image.size)
    return opencv_resize(image, *(int(side * scale + 0.5) for side in image.size))


def preprocessing_of(train: Pictures, params: PixelParams, size: int) -> Preprocessing:
    """What evaluation does to pixels, mean and deviation by the training pictures."""
    mean, std = ((0.0,) * 3, (1.0,) * 3) if params.normalise == "none" else channel_statistics(train)
    return Preprocessing(size, mean, std, params.interpolation, params.crop_pct, params.resize)


def train_transform(params: PixelParams, flip: bool, preprocessing: Preprocessing) -> Callable[[Image.Image], Tensor]:
    """From an image to an augmented tensor (3, size, size), drawn from the generators of torch, numpy and Python;
    ``flip``: half of them."""
    size = preprocessing.size
    if params.preprocessing != "timm":
        crop, light = {"official": (square_crop, lighting), "released": (padded_crop, byte_lighting)}[
            params.preprocessing
        ]
        return transforms.Compose(
            [
                transforms.Lambda(lambda image: crop(image, size, params.crop_scale_min)),
                transforms.RandomHorizontalFlip(0.5 if flip else 0.0),
                transforms.ToTensor(),
                transforms.Lambda(light),
                transforms.Normalize(preprocessing.mean, preprocessing.std),
            ]
        )
    return create_transform(
        (3, size, size),
        is_training=True,
        scale=(params.crop_scale_min, 1.0),
        hflip=0.5 if flip else 0.0,
        color_jitter=params.color_jitter or None,
        auto_augment=params.auto_augment,
        re_prob=params.random_erasing,
        re_mode="pixel",
        interpolation=preprocessing.interpolation,
        mean=preprocessing.mean,
        std=preprocessing.std,
    )


def evaluation_transform(preprocessing: Preprocessing) -> Any:
    """Resize, centre crop and normalisation as the network was trained for; gives (3, size, size)."""
    size = preprocessing.size
    if preprocessing.resize == "opencv":
        return transforms.Compose(
            [
                transforms.Lambda(lambda image: shorter_side(image, round(size / preprocessing.crop_pct))),
                transforms.CenterCrop(size),
                transforms.ToTensor(),
                transforms.Normalize(preprocessing.mean, preprocessing.std),
            ]
        )
    return create_transform(
        (3, size, size),
        is_training=False,
        interpolation=preprocessing.interpolation,
        mean=preprocessing.mean,
        std=preprocessing.std,
        crop_pct=preprocessing.crop_pct,
    )
