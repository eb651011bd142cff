"""Data sets made from other ones, each a pure function of its parameters and its origin."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from pathlib import Path

from genas.models.errors import GenasError
from genas.pipeline.config import DataParams
from genas.pipeline.context import Context
from genas.pipeline.data import digits, shifts
from genas.pipeline.data.reading.images import Pictures, pictures
from genas.pipeline.data.reading.layouts import classes_of, dataset_root, digest_of, index_of, require_layout


def _origin_pictures(context: Context, spec: DataParams) -> tuple[Pictures, list[str]]:
    """The held-out images that a shifted set is made from, and the class names."""
    if spec.derive == "digits":
        return Pictures(digits.painted(spec.required_seed)["val"]), [str(i) for i in range(10)]
    name = str(spec.derive)
    if name not in context.params.data:
        raise GenasError(f"data.{context.axes['dataset']}.derive: unknown data set {name!r}")
    origin, root = context.params.data[name], dataset_root(context, name)
    require_layout(name, origin, root)
    classes = classes_of(origin.layout, root, index_of(context, name))
    return pictures(root, origin.layout, "val", classes or None, index_of(context, name)), classes


def fingerprint(context: Context, spec: DataParams) -> str:
    """What a derived set depends on: its parameters, its origin's files and the code that makes it.

    Raises:
        GenasError: the origin is missing or cannot be read.
    """
    content = [spec.model_dump_json(), inspect.getsource(digits), inspect.getsource(shifts)]
    if spec.derive != "digits":
        origin = context.params.data.get(str(spec.derive))
        if origin is not None and origin.path is not None:
            require_layout(str(spec.derive), origin, dataset_root(context, str(spec.derive)))
            content.append(digest_of(dataset_root(context, str(spec.derive)), origin.digest))
    return hashlib.sha256("\0".join(content).encode()).hexdigest()


def write(context: Context, spec: DataParams, root: Path) -> None:
    """Write a derived set into ``root``, replacing what was there.

    Raises:
        GenasError: no such set can be derived.
    """
    writers = {"parquet": digits.write_digits, "coco": digits.write_coco, "cityscapes": digits.write_cityscapes}
    if spec.layout != "shift" and (spec.layout not in writers or spec.derive != "digits"):
        raise GenasError(f"data.{context.axes['dataset']}: layout {spec.layout} cannot be derived from {spec.derive}")
    part = root.with_name(root.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    if spec.layout == "shift":
        shifts.write_shift(part, spec.required_seed, *_origin_pictures(context, spec))
    else:
        writers[spec.layout](part, spec)
    shutil.rmtree(root, ignore_errors=True)
    part.rename(root)
