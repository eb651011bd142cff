"""Parts of a profile's ``dvc.lock``: what clones tell each other about a stage, to go on from the same files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Entries = dict[str, dict[str, Any]]
"""What ``dvc.lock`` says of some stages, by their names: command, dependencies, parameters, outputs, with digests."""


def entries(folder: Path, stages: Iterable[str]) -> Entries:
    """What the lock of the profile in ``folder`` says of ``stages``; without those that it does not have."""
    from dvc.utils.serialize import load_yaml

    path = folder / "dvc.lock"
    known = (load_yaml(path).get("stages") or {}) if path.exists() else {}
    return {stage: known[stage] for stage in stages if stage in known}


def merge(folder: Path, new: Mapping[str, dict[str, Any]]) -> None:
    """Put ``new`` into the lock, in the place of what it says of the same stages; waits while DVC writes to it."""
    from dvc.repo import Repo, lock_repo
    from dvc.utils.serialize import modify_yaml

    with Repo(str(folder), _wait_for_lock=True) as repo, lock_repo(repo), modify_yaml(folder / "dvc.lock") as lock:
        lock.setdefault("schema", "2.0")
        lock.setdefault("stages", {}).update(new)


def remote(folder: Path) -> str | None:
    """The name of DVC's default remote, if there is one."""
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        name: str | None = repo.config["core"].get("remote")
        return name


def outputs(entry: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each output of a stage, by its path."""
    return {out["path"]: out["md5"] for out in entry["outs"]}
