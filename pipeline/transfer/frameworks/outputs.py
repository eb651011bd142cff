"""Files that both transfer stages leave in the same form: weights, history, the pictures of their examples."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.torch import save_file
from torch import nn


def write_weights(path: Path, model: nn.Module, classes: Sequence[str]) -> None:
    """All parameters and buffers of a model as safetensors; its metadata holds the class names as a JSON list."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, str(path), metadata={"classes": json.dumps(classes)})


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """The curves as CSV, a line for every ``PERIOD`` iterations (:mod:`.training`) and one for the rest."""
    pd.DataFrame(rows).to_csv(path, index=False)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """An image, uint8, RGB (height, width, 3) or class ids (height, width); equal pixels give equal bytes."""
    Image.fromarray(pixels).save(path, format="PNG")


def emptied(folder: Path) -> Path:
    """The folder, made anew: nothing of an earlier run stays in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
