"""The ``data`` stage: find a data set, or derive it, and record its digest, counts and classes.

The manifest is what DVC compares: the stage looks at every run, and only a changed digest makes the stages below run
again; of a derived set, also a change of what it is made from, or how. The digest covers names and bytes of all files
(``digest: content``) or names and sizes (``listing``, for sets of millions of files). Modification times do not count,
so a copy of a data set is the same data set.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genas.models.errors import GenasError
from genas.pipeline.config import DataParams, load_params
from genas.pipeline.context import Context
from genas.pipeline.data import derive
from genas.pipeline.data.checks import look_at
from genas.pipeline.data.reading import shards
from genas.pipeline.data.reading.files import reason
from genas.pipeline.data.reading.layouts import (
    classes_of,
    code_of,
    dataset_root,
    digest_of,
    index_of,
    require_layout,
    root_of,
    split_file,
    splits_of,
    validation_images,
)
from genas.pipeline.data.reading.manifest import MANIFEST, former_manifest
from genas.pipeline.data.reading.splits import read_split


def describe(
    name: str, spec: DataParams, root: Path, index: Path | None = None, looked_at: str | None = None
) -> dict[str, Any]:
    """The manifest of a data set that is there; the members of shards are recorded in ``index``.

    Files are looked at (:mod:`genas.pipeline.data.checks`) unless the digest is ``looked_at``, that of an earlier look.

    Raises:
        GenasError: the set is missing, empty, or defective.
    """
    require_layout(name, spec, root)
    digest = digest_of(root, spec.digest)
    if spec.layout == "webdataset" and index is not None:
        shards.record(root, index, digest)
    return manifest_of(name, spec, root, index, digest, looked_at)


def manifest_of(
    name: str, spec: DataParams, root: Path, index: Path | None, digest: str, looked_at: str | None
) -> dict[str, Any]:
    """:func:`describe` of a data set whose digest is known and whose ``index`` is written; writes nothing.

    Raises:
        GenasError: the set is empty or defective.
    """
    splits = splits_of(spec.layout, root, index)
    empty = [split for split, count in splits.items() if not count]
    if empty or not splits:
        raise GenasError(f"data set {name}: no images in {', '.join(empty) or 'any split'} below {root}")
    if digest != looked_at:
        look_at(spec, root)
    classes = classes_of(spec.layout, root, index)
    found = {"name": name, "layout": spec.layout, "digest": digest, "splits": splits, "classes": classes}
    if code := code_of(spec.layout):
        found["code"] = code
    if path := split_file(spec):
        read_split(path, splits["train"], validation_images(spec.layout, splits))
        found["split_file"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _download(spec: DataParams, root: Path) -> None:
    """Fetch CIFAR through torchvision (checked by its own digest), where the parameters name a torchvision layout.

    Raises:
        GenasError: the download fails.
    """
    from torchvision import datasets

    kind = datasets.CIFAR10 if spec.layout == "cifar10" else datasets.CIFAR100
    try:
        kind(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise GenasError(f"{root}: the download of {spec.layout} failed ({reason(error)})") from None


def run(context: Context) -> None:
    """Record one data set; a derived set is written anew only when what it is made from, or how, has changed."""
    name = context.axes["dataset"]
    spec = context.params.data[name]
    root = dataset_root(context, name)
    path = context.out / MANIFEST
    former = former_manifest(path)
    same = former.get("layout") == spec.layout and former.get("code") == code_of(spec.layout)
    looked_at = former.get("digest") if same else None
    if spec.derive is not None:
        origin = derive.fingerprint(context, spec)
        fresh = former.get("origin") == origin and root.is_dir() and digest_of(root, spec.digest) == looked_at
        if not fresh:
            path.unlink(missing_ok=True)
            derive.write(context, spec, root)
        manifest = {**describe(name, spec, root, looked_at=looked_at), "origin": origin}
    else:
        if spec.layout in ("cifar10", "cifar100") and os.environ.get("GENAS_DOWNLOAD") == "1":
            _download(spec, root)
        manifest = describe(name, spec, root, index_of(context, name), looked_at)
    path.write_text(json.dumps(manifest, indent=1) + "\n")


def check(folder: Path) -> Iterator[tuple[str, bool, str]]:
    """Look for every data set of a profile: its name, whether it is there, and where or what is missing."""
    for name, spec in load_params(folder).data.items():
        if spec.derive is not None:
            yield name, True, f"derived from {spec.derive}"
            continue
        root = root_of(spec, folder / "out" / "data" / name)
        try:
            require_layout(name, spec, root)
            yield name, True, str(root)
        except GenasError as error:
            yield name, False, str(error)
