"""How large everything is in a profile for somebody's photographs: that of ``mini``, less where there are few."""

from __future__ import annotations

from genas.pipeline.scaffold.looking import Objects, Photographs, Scenes

STEPS = 1000
"""Of a supernet's training, within :data:`EPOCHS`."""
EPOCHS = (5, 30)
RETRAINING_STEPS = 750
RETRAINING_EPOCHS = (10, 40)
ITERATIONS = (60, 600)
"""Of a detector's and a segmenter's training: thrice as many as images, within these bounds."""
LONG_SIDE = 240
"""Pixels of a scene's longer side, at most."""
LARGEST_CROP = 160
GRID = 32
"""What sides of images are multiples of: the coarsest map of a network has a pixel for so many."""

Value = int | str | list[int]


def within(value: float, bounds: tuple[int, int]) -> int:
    """A number, rounded, between bounds."""
    return min(max(round(value), bounds[0]), bounds[1])


def batch(images: int, largest: int) -> int:
    """A power of two between 2 and ``largest``, of which ``images`` hold four, if they do."""
    size = largest
    while size > 2 and size > images // 4:
        size //= 2
    return size


def on_a_grid(pixels: float, largest: int) -> int:
    """The multiple of :data:`GRID` at or below, from one on and up to ``largest``."""
    return within(GRID * (pixels // GRID), (GRID, largest))


def of_photographs(found: Photographs) -> dict[str, Value]:
    """What the template says of supernet, search, retraining and curvature."""
    half = found.train // 2
    training, images = batch(half, 64), min(512, half)
    retraining = batch(found.train, 32)
    return {
        "digest": found.digest,
        "supernet_epochs": within(STEPS / (half // training), EPOCHS),
        "supernet_batch": training,
        "validate_images": min(1000, half),
        "images": images,
        "batch": min(128, images),
        "recalibrate_batch": batch(half, 64),
        "zero_cost_images": min(64, half),
        "hessian_images": min(256, half),
        "error_images": [max(2, images // 4), images],
        "image_size": on_a_grid(found.side, 128),
        "retrain_epochs": within(RETRAINING_STEPS / (found.train // retraining), RETRAINING_EPOCHS),
        "retrain_batch": retraining,
        "curvature_images": min(300, found.val),
    }


def of_objects(found: Objects) -> dict[str, Value]:
    """What the template says of detection."""
    side = on_a_grid(found.side, 192)
    iterations = within(3 * found.train, ITERATIONS)
    return {
        "detect_iterations": iterations,
        "detect_warmup": iterations // 10,
        "detect_sides": [max(GRID, side - GRID), side],
        "detect_side": side,
        "detect_longest": 4 * side // 3,
    }


def of_scenes(found: Scenes) -> dict[str, Value]:
    """What the template says of segmentation."""
    factor = min(1.0, LONG_SIDE / max(found.size))
    scale = [max(GRID, round(factor * pixels)) for pixels in found.size]
    return {
        "scenes_layout": found.layout,
        "segment_iterations": within(3 * found.train, ITERATIONS),
        "segment_scale": scale,
        "segment_crop": on_a_grid(min(scale), LARGEST_CROP),
    }
