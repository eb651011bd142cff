"""Where a long stage keeps its half-done work, outside DVC, so that a killed run goes on where it was.

The folder's name is a fingerprint of everything that the work depends on: stage, row, parameters, inputs and code.
Changed parameters therefore find nothing, and a folder that is found always fits.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from pipeline.context import Context
from pipeline.machine import imports
from pipeline.machine.distributed import leader
from pipeline.stages import STAGES
from pipeline.stages.graph import settings


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over files, and over folders with the names inside them."""
    sha = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                sha.update(str(file.relative_to(path.parent)).encode())
                with file.open("rb") as stream:
                    sha.update(hashlib.file_digest(stream, "sha256").digest())
    return sha.hexdigest()


def code_digest(stage: str) -> str:
    """SHA-256 over this project's source, as far as it can change what a stage computes."""
    return imports.digest(imports.closure(STAGES[stage].module))


class Scratch:
    """The scratch folder of one row.

    Args:
        context: the row, which brings the parameters that its stage depends on.
        inputs: the files and folders that the result depends on.
        more: whatever else it depends on, such as the number of processes.
    """

    def __init__(self, context: Context, inputs: Iterable[Path] = (), **more: int) -> None:
        key = (context.stage, context.row)
        content = [*key, settings(context.params, key), more, digest(inputs), code_digest(context.stage)]
        self.fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        family = context.root / ".scratch"
        self.folder = family / f"{context.stage}-{context.row}-{self.fingerprint}"
        if not leader():
            return
        for stale in family.glob(f"{context.stage}-{context.row}-*"):
            # Same row, other inputs: nothing there can be used any more. Rows whose name merely begins alike stay.
            if stale != self.folder and len(stale.name) == len(self.folder.name):
                shutil.rmtree(stale, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, name: str, state: Any) -> None:
        """Write tensors and plain containers under ``name``; a kill leaves either the old file or the new one.

        Of several processes that train together the first alone writes, and clears up.
        """
        if not leader():
            return
        path = self.folder / name
        part = path.with_suffix(path.suffix + ".part")
        with part.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)

    def load(self, name: str) -> Any | None:
        """What :meth:`save` wrote, or None; nothing is unpickled beyond tensors and plain containers."""
        path = self.folder / name
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Add a record of plain values to the lines of ``name``."""
        with (self.folder / name).open("a") as stream:
            stream.write(json.dumps(record) + "\n")

    def records(self, name: str) -> list[dict[str, Any]]:
        """What :meth:`append` added; a line that a kill tore is cut off."""
        path = self.folder / name
        whole, newline, _ = (path.read_text() if path.exists() else "").rpartition("\n")
        if path.exists():
            path.write_text(whole + newline)
        return [json.loads(line) for line in whole.splitlines()]

    def close(self) -> None:
        """Remove the folder: the row is done."""
        if not leader():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
