"""Which MLflow run a row had, left beside its half-done work for whoever wants to link to it; no stage reads it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mark:
    """A run by MLflow's ids."""

    experiment: str
    run: str


def _place(root: Path, name: str) -> Path:
    return root / ".scratch" / "tracked" / f"{name}.json"


def mark(root: Path, name: str, run: Mark) -> None:
    """Note the newest run of a row (``search@digits-flatness-0``) of the profile in ``root``."""
    path = _place(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(run)) + "\n")


def mark_of(root: Path, name: str) -> Mark | None:
    """The newest run of a row; None where it was never tracked, or the note is broken."""
    try:
        return Mark(**json.loads(_place(root, name).read_text()))
    except (OSError, ValueError, TypeError):
        return None
