"""New data: look again, run what hangs below, say what changed, and leave the new lock on a branch of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from genas.flows.processes.lock import run_lock
from genas.flows.reproduce import JOBS, bring_up_to_date
from genas.flows.version import VERSION
from genas.pipeline.config import load_params, profile_folder

AUTHOR = {
    "GIT_AUTHOR_NAME": "genas refresh",
    "GIT_AUTHOR_EMAIL": "refresh@genas.invalid",
    "GIT_COMMITTER_NAME": "genas refresh",
    "GIT_COMMITTER_EMAIL": "refresh@genas.invalid",
}

Metrics = dict[str, dict[str, float]]


@flow(name="refresh", version=VERSION, flow_run_name="refresh-{profile}")
def refresh(profile: str = "paper", jobs: int = JOBS) -> str | None:
    """Rescan a profile's data and bring up to date what depends on it, after any other run of the profile.

    Leaves a Prefect artifact (old against new) and, if the lock is no longer that of HEAD, a git branch
    ``refresh/<time>-<profile>`` with the new ``dvc.lock``. Neither HEAD nor the index is touched.

    Returns:
        The branch's name, or None if nothing is to be kept.

    Raises:
        GenasError: wrong parameters or a user's mistake in a stage.
        StageError: a stage failed; the branch is not made.
    """
    folder = profile_folder(profile)
    name = load_params(folder).profile
    with run_lock(folder, wait=True):
        digests, metrics = data_digests(folder), stage_metrics(folder)
        ended = bring_up_to_date(folder, (), jobs, None)
        branch = keep_lock(folder, f"refresh/{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}")
        text = comparison(digests, data_digests(folder), metrics, stage_metrics(folder))
    text += f"\n{len(ended)} stages walked. " + (f"The new lock is on `{branch}`.\n" if branch else "No new lock.\n")
    create_markdown_artifact(text, key=f"refresh-{name}", description=f"Refresh of {name}: old against new")
    get_run_logger().info(text)
    return branch


def data_digests(folder: Path) -> dict[str, str]:
    """The digest of every data set, as its last scan left it."""
    manifests = sorted(folder.glob("out/data/*/manifest.json"))
    return {path.parent.name: json.loads(path.read_text())["digest"] for path in manifests}


def stage_metrics(folder: Path) -> Metrics:
    """The metrics of every row that has run, by ``stage@row``."""
    files = sorted(folder.glob("out/*/*/metrics.json"))
    return {f"{path.parent.parent.name}@{path.parent.name}": json.loads(path.read_text()) for path in files}


def comparison(
    old_digests: Mapping[str, str], new_digests: Mapping[str, str], old_metrics: Metrics, new_metrics: Metrics
) -> str:
    """Two markdown tables: data sets whose digest changed, metrics whose value changed."""
    lines = ["| data set | old | new |", "|---|---|---|"]
    for name in sorted({*old_digests, *new_digests}):
        old, new = old_digests.get(name, "-"), new_digests.get(name, "-")
        if old != new:
            lines.append(f"| {name} | {old[:12]} | {new[:12]} |")
    data = "\n".join(lines) if len(lines) > 2 else "No data set changed."
    lines = ["| row | metric | old | new |", "|---|---|---|---|"]
    for row in sorted({*old_metrics, *new_metrics}):
        before, after = old_metrics.get(row, {}), new_metrics.get(row, {})
        for metric in sorted({*before, *after}):
            if before.get(metric) != after.get(metric):
                lines.append(f"| {row} | {metric} | {before.get(metric, '-')} | {after.get(metric, '-')} |")
    return f"{data}\n\n" + ("\n".join(lines) if len(lines) > 2 else "No metric changed.") + "\n"


def keep_lock(folder: Path, branch: str) -> str | None:
    """Commit ``dvc.lock`` on top of HEAD to a new branch, through an index of its own.

    Returns:
        The branch, or an older one of :func:`refresh` that holds the same lock; None where there is nothing to keep:
        no git, no commit yet, no lock, or the lock of HEAD.
    """
    if not (folder / "dvc.lock").exists() or git(folder, "rev-parse", "--verify", "HEAD") is None:
        return None
    head = required(folder, "rev-parse", "HEAD")
    lock = required(folder, "rev-parse", "--show-prefix") + "dvc.lock"
    blob = required(folder, "hash-object", "-w", "dvc.lock")
    if git(folder, "rev-parse", f"{head}:{lock}") == blob:
        return None
    for other in required(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads/refresh").split():
        if git(folder, "rev-parse", f"{other}:{lock}") == blob:
            return other
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        required(folder, "read-tree", head, **index)
        required(folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},{lock}", **index)
        tree = required(folder, "write-tree", **index)
    commit = required(folder, "commit-tree", tree, "-p", head, "-m", f"Refresh {lock}", **AUTHOR)
    required(folder, "update-ref", f"refs/heads/{branch}", commit, "0" * len(commit))  # never over an existing one
    return branch


def git(folder: Path, *arguments: str, **environment: str) -> str | None:
    """What git answers, or None if it refuses or is missing."""
    try:
        return required(folder, *arguments, **environment)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def required(folder: Path, *arguments: str, **environment: str) -> str:
    """What git answers; a refusal is an exception."""
    surroundings = {**os.environ, **environment}
    command = ["git", *arguments]
    said = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=True)
    return said.stdout.strip()
