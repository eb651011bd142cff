"""What a case is, and what is wrong with how its call ended."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import Tiny
from tests.faults.running import Call, Ended
from tests.flows.conftest import alive

SECRET = "genas-secret"
"""A password; wherever it is given, nothing may show it."""
GRACE = 10.0
"""Seconds that what a call has started may outlive it."""
NOTHING = "^$"
"""As a warning: none is given."""
PROGRESS = re.compile(r"\S+: (scanning|running|done|restored|unchanged|failed|not run)\b")
"""Lines in which ``genas run`` says how far it is."""
UNTOUCHED = (".scratch", "tmp")
"""Folders whose content is nobody's result: half-done work, logs, temporary files."""


class Place:
    """A folder of a case's own: the profile, a data root, and where temporary files go."""

    def __init__(self, folder: Path, root: str = "profile") -> None:
        self.folder, self.root = folder, folder / root
        self.data, self.temporary, self.ran = folder / "data", folder / "tmp", folder / "ran"

    @property
    def tiny(self) -> Tiny:
        """The profile, as the unit tests change it."""
        return Tiny(self.root)

    def call(self, line: str, more: Mapping[str, str]) -> Call:
        """A call in the profile's folder; ``{root}``, ``{data}`` and ``{folder}`` stand for paths."""
        names = {"root": self.root, "data": self.data, "folder": self.folder}
        self.temporary.mkdir(exist_ok=True)
        more = {"GENAS_DATA": str(self.data), "TMPDIR": str(self.temporary), **more}
        said = {name: value.format(**names) for name, value in more.items()}
        return Call.of(line.format(**names), self.root, **said)


Spoil = Callable[[Place], object]


@dataclass(frozen=True)
class Case:
    """A small change to a good thing, a call that meets it, and what the call must say.

    Attributes:
        name: what is wrong, for people.
        template: the good thing, by its name in :mod:`tests.faults.templates`.
        call: what is run, as it is typed.
        line: what the one line of the error matches; None where the change is rightly accepted.
        spoil: makes the change.
        environment: variables of the call.
        warning: what the one line on standard error matches where the change is accepted; nothing is looked for by
            default.
        same: a folder of the profile that must then hold the files of the template's folder ``expected``.
    """

    name: str
    template: str
    call: str
    line: str | None
    spoil: Spoil = lambda place: None
    environment: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""
    same: str = ""


@dataclass(frozen=True)
class Fault:
    """Something wrong: ``traceback``, ``line``, ``lost`` or ``left``, and what exactly."""

    kind: str
    what: str


def contents(folder: Path) -> dict[str, str]:
    """A digest of every file below ``folder`` but :data:`UNTOUCHED`, and where every link leads."""
    found = {}
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in UNTOUCHED]
        for name in [*names, *folders]:
            path = os.path.join(at, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif name in names:
                with open(path, "rb") as stream:
                    found[path] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def judge(case: Case, place: Place, before: Mapping[str, str], ended: Ended) -> list[Fault]:
    """Everything that is wrong with how a call ended; waits a moment for what it has started."""
    faults, lines = [], [line for line in ended.err.splitlines() if not PROGRESS.match(line)]
    if "Traceback (most recent call last)" in ended.err + ended.out:
        faults.append(Fault("traceback", ended.err[-3000:]))
    if ended.status is None:
        faults.append(Fault("line", "its time was up"))
    elif case.line is None:
        if ended.status != 0:
            faults.append(Fault("line", f"refused, status {ended.status}: {ended.err.strip()[-500:]}"))
        elif not re.search(case.warning, ended.err) or (case.warning not in ("", NOTHING) and len(lines) != 1):
            faults.append(Fault("line", f"expected the warning {case.warning!r}, said {ended.err.strip()[-500:]!r}"))
    elif ended.status == 0:
        faults.append(Fault("line", f"accepted; expected {case.line!r}"))
    elif len(lines) != 1 or not lines[0].startswith("error: ") or "error: unexpected" in lines[0]:
        faults.append(Fault("line", f"status {ended.status}, no single clear line: {ended.err.strip()[-700:]!r}"))
    elif not re.search(case.line, lines[0].removeprefix("error: ")):
        faults.append(Fault("line", f"expected {case.line!r}, said {lines[0]!r}"))
    faults += [Fault("lost", what) for what in _lost(case, place, before, ended.status)]
    if SECRET in ended.out + ended.err or any(SECRET in text for text in _texts(place)):
        faults.append(Fault("lost", "a password was told"))
    if place.ran.exists():
        faults.append(Fault("lost", "what a file asked for was run"))
    deadline = time.monotonic() + GRACE
    while (left := alive(place.folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return faults + [Fault("left", f"process {pid}") for pid in left]


def _lost(case: Case, place: Place, before: Mapping[str, str], status: int | None) -> list[str]:
    """Files that were there and are no longer as they were; of a refused call, also results that are there now."""
    after = contents(place.folder)
    if case.line is not None:
        gone = [path for path, digest in before.items() if after.get(path) != digest]
        made = [path for path in after if path not in before and path.startswith(str(place.root / "out"))]
        half = [
            path for path in made if status != 0 and not path.endswith("/index.parquet")
        ]  # whole, and of the set with its digest
        return [f"changed: {path}" for path in gone] + [f"half-written: {path}" for path in half]
    inputs = [path for path in before if not path.startswith(str(place.root / "out"))]
    faults = [f"changed: {path}" for path in inputs if after.get(path) != before[path]]
    if case.same:
        for file in sorted((place.folder / "expected").iterdir()):
            made = place.root / case.same / file.name
            if not made.exists() or made.read_bytes() != file.read_bytes():
                faults.append(f"other bytes: {made}")
    return faults


def _texts(place: Place) -> list[str]:
    """What lies in logs."""
    logs = [*place.root.glob(".scratch/logs/*"), *place.temporary.glob("*.log")]
    return [path.read_text(errors="replace") for path in logs if path.is_file()]
