"""What DVC restores from its cache is looked at: DVC takes an object that it has protected for what it is called, also
where a disk has changed it, and what hangs below would be made from that."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from genas.flows.machines.lockfile import entries, outputs


def drop_damaged(folder: Path, stage: str) -> list[str]:
    """Take away the outputs of a stage that are not what ``dvc.lock`` says, with the objects of DVC's cache that they
    came from, so that the stage is run for them.

    Args:
        folder: the profile's folder.
        stage: the row, as DVC names it.

    Returns:
        The outputs, by their paths in the profile.
    """
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        cache = Path(repo.cache.local.path)
    dropped = []
    for name, digest in outputs(entries(folder, [stage])[stage]).items():
        wrong = list(_damaged(folder / name, digest, cache))
        for kept in wrong:
            _object(cache, kept).unlink(missing_ok=True)
        if wrong:
            dropped.append(name)
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    return dropped


def _object(cache: Path, digest: str) -> Path:
    """Where DVC keeps what has a digest."""
    return cache / digest[:2] / digest[2:]


def _md5(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _damaged(path: Path, digest: str, cache: Path) -> Iterator[str]:
    """The digests that a restored file, or the list and the files of a folder, do not have."""
    if not digest.endswith(".dir"):
        if _md5(path) != digest:
            yield digest
        return
    listed = _object(cache, digest)
    if f"{_md5(listed)}.dir" != digest:
        yield digest
        return
    for entry in json.loads(listed.read_bytes()):
        if _md5(path / entry["relpath"]) != entry["md5"]:
            yield entry["md5"]
