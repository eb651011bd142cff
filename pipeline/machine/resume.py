"""Where a long stage keeps its half-done work, outside DVC, so that a killed run goes on where it was.

The folder's name is a fingerprint of everything that the work depends on: stage, row, parameters, inputs and code.
Changed parameters therefore find nothing, and a folder that is found always fits. Everything in it is sealed by a
checksum; what a disk or a kill has damaged is set aside, never read. How long the work took before the kill is kept
beside it, so that ``timing.json`` tells of the whole row.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from genas.pipeline.context import Context
from genas.pipeline.machine.distributed import leader
from genas.pipeline.machine.imports import code_digest
from genas.pipeline.stages import STAGES
from genas.pipeline.stages.graph import settings


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


SPENT = "seconds"
"""File of the time that a row has taken so far."""
SEAL = 64
"""Bytes of a checksum: SHA-256 in hexadecimal."""


def _seal(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _before(path: Path) -> Path:
    """Where the state before the last one lies."""
    return path.with_name(f"{path.name}.before")


def _set_aside(path: Path) -> None:
    """Rename a damaged file and say so; of several processes, all of which read it, the first alone does."""
    if leader():
        damaged = path.with_name(f"{path.name}.damaged")
        path.replace(damaged)
        print(f"warning: {damaged}: damaged and set aside, going on from what was before it", file=sys.stderr)


class Scratch:
    """The scratch folder of one row.

    Args:
        context: the row, which brings the parameters that its stage depends on.
        inputs: the files and folders that the result depends on.
        more: whatever else it depends on, such as the number of processes.
    """

    def __init__(self, context: Context, inputs: Iterable[Path] = (), **more: int) -> None:
        key = (context.stage, context.row)
        code = code_digest(context.stage, STAGES[context.stage].measures(context.params, context.axes))
        content = [*key, settings(context.params, key), more, digest(inputs), code]
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
        self._started, self._earlier = time.monotonic(), self._spent()
        if self._earlier:
            context.notes["earlier"] = self._earlier

    def _spent(self) -> float:
        """Seconds that the row took until the last time that something was kept."""
        try:
            return max(0.0, float((self.folder / SPENT).read_text()))
        except (OSError, ValueError):
            return 0.0

    def _note_time(self) -> None:
        seconds = self._earlier + time.monotonic() - self._started
        (self.folder / SPENT).write_text(f"{seconds:.1f}")

    def save(self, name: str, state: Any) -> None:
        """Write tensors and plain containers under ``name``; the state before stays as ``name.before``.

        A kill or a full disk leaves the old file or the new one. Of several processes that train together the first
        alone writes, and clears up.
        """
        if not leader():
            return
        path = self.folder / name
        part = path.with_name(f"{name}.part")
        content = io.BytesIO()
        torch.save(state, content)
        try:
            with part.open("wb") as stream:
                stream.write(content.getbuffer())
                stream.write(_seal(content.getbuffer()))  # torch.load takes no notice of what follows its archive
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        if path.exists():
            path.replace(_before(path))
        part.replace(path)
        self._note_time()

    def load(self, name: str) -> Any | None:
        """The last state that :meth:`save` wrote and that is as it was written, or None.

        A damaged one is set aside as ``name.damaged``, with a line on standard error. Nothing is unpickled beyond
        tensors and plain containers.
        """
        path = self.folder / name
        for candidate in (path, _before(path)):
            if not candidate.exists():
                continue
            sealed = candidate.read_bytes()
            content, seal = sealed[:-SEAL], sealed[-SEAL:]
            if seal == _seal(content):
                try:
                    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
                except (pickle.UnpicklingError, RuntimeError, EOFError):
                    pass  # a stranger's: anybody can make a checksum
            _set_aside(candidate)
        return None

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Add a record of plain values to the lines of ``name``, each with its checksum before it."""
        text = json.dumps(record)
        with (self.folder / name).open("a") as stream:
            stream.write(f"{_seal(text.encode()).decode()} {text}\n")
        self._note_time()

    def records(self, name: str) -> list[dict[str, Any]]:
        """What :meth:`append` added, up to the first line that is damaged; one that a kill tore is cut off."""
        path = self.folder / name
        *lines, torn = (path.read_bytes() if path.exists() else b"").split(b"\n")
        texts = [line[SEAL + 1 :] for line in lines]
        sound = [line == _seal(text) + b" " + text for line, text in zip(lines, texts, strict=True)]
        kept = sound.index(False) if False in sound else len(lines)
        if kept < len(lines):
            _set_aside(path)
        if torn or kept < len(lines):
            part = path.with_name(f"{name}.part")
            part.write_bytes(b"".join(line + b"\n" for line in lines[:kept]))
            part.replace(path)
        return [json.loads(text) for text in texts[:kept]]

    def close(self) -> None:
        """Remove the folder: the row is done."""
        if not leader():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
