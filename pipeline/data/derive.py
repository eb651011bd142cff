"""Data sets made from other ones, each a pure function of its parameters and its origin."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from pathlib import Path

from genas.models.errors import GenasError
from genas.pipeline.config import DIGITS, DataParams
from genas.pipeline.context import Context
from genas.pipeline.data import copies, digits, shifts
from genas.pipeline.data.reading.images import Pictures, pictures
from genas.pipeline.data.reading.layouts import classes_of, dataset_root, digest_of, index_of, require_layout


def _origin_pictures(context: Context, spec: DataParams, *splits: str) -> tuple[dict[str, Pictures], list[str]]:
    """The images of some splits that a set is made from, and the class names."""
    if spec.derive == DIGITS:
        painted = digits.painted(spec.required_seed)
        return {split: Pictures(painted[split]) for split in splits}, [str(i) for i in range(10)]
    name = str(spec.derive)
    if name not in context.params.data:
        raise GenasError(f"data.{context.axes['dataset']}.derive: unknown data set {name!r}")
    origin, root = context.params.data[name], dataset_root(context, name)
    require_layout(name, origin, root)
    index = index_of(context, name)
    classes = classes_of(origin.layout, root, index)
    return {split: pictures(root, origin.layout, split, classes or None, index) for split in splits}, classes


def fingerprint(context: Context, spec: DataParams) -> str:
    """What a derived set depends on: its parameters, its origin's files and the code that makes it.

    Raises:
        GenasError: the origin is missing or cannot be read.
    """
    makers = [digits] if spec.derive == DIGITS else []
    makers += {"shift": [shifts], "parquet": [copies]}.get(spec.layout, [])
    content = [spec.model_dump_json(), *map(inspect.getsource, makers)]
    if spec.derive != DIGITS:
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
    composers = {"coco": digits.write_coco, "cityscapes": digits.write_cityscapes}
    if spec.layout not in ("shift", "parquet") and (spec.layout not in composers or spec.derive != DIGITS):
        raise GenasError(f"data.{context.axes['dataset']}: layout {spec.layout} cannot be derived from {spec.derive}")
    part = root.with_name(root.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    if spec.layout == "shift":
        held_out, classes = _origin_pictures(context, spec, "val")
        shifts.write_shift(part, spec.required_seed, held_out["val"], classes)
    elif spec.layout == "parquet":
        copies.write_tables(part, spec.pixels, *_origin_pictures(context, spec, "train", "val"))
    else:
        composers[spec.layout](part, spec)
    shutil.rmtree(root, ignore_errors=True)
    part.rename(root)
