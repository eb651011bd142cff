"""Runs cases of all families, and counts how they end."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field

from tests.faults.families import commands, leftovers, networks, parameters, sets, state, surroundings
from tests.faults.judging import Case, Fault, contents, judge
from tests.faults.running import run, run_apart
from tests.faults.templates import Templates

FAMILIES = {
    name: cases
    for module in (parameters, surroundings, sets, networks, state, commands, leftovers)
    for name, cases in module.CASES.items()
}
APART = 20
"""Every so many cases, one is run as a process of its own, too."""


@dataclass
class Count:
    """How the cases of a family ended."""

    tried: int = 0
    apart: int = 0
    refused: int = 0
    accepted: int = 0
    faults: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("traceback", "line", "lost", "left"), 0))


def attempt(case: Case, templates: Templates, apart: bool) -> list[Fault]:
    """What is wrong with how a case ends."""
    place = templates.copy(case.template)
    case.spoil(place)
    call = place.call(case.call, case.environment)
    before = contents(place.folder)
    ended = run_apart(call) if apart else run(call, templates.folder)
    found = judge(case, place, before, ended)
    shutil.rmtree(place.folder, ignore_errors=True)
    return found


def examine(name: str, cases: list[Case], templates: Templates, every: int = 1) -> tuple[Count, list[str]]:
    """Run each ``every``-th case of a family; how they ended, and what is wrong in words, which is also printed."""
    count, said = Count(), []
    for number, case in enumerate(cases):
        if number % every:
            continue
        for apart in (False, True)[: 1 + (number % (APART * every) == 0)]:
            started = time.monotonic()
            faults = attempt(case, templates, apart)
            count.tried += not apart
            count.apart += apart
            count.refused += not faults and case.line is not None and not apart
            count.accepted += not faults and case.line is None and not apart
            for kind in {fault.kind for fault in faults}:
                count.faults[kind] += 1
            took = f"{time.monotonic() - started:.1f} s{', apart' if apart else ''}"
            found = [f"{name} | {case.name} | {case.call} | {fault.kind}: {fault.what} ({took})" for fault in faults]
            print(*found, sep="\n", end="\n" * bool(found), flush=True)
            said += found
    return count, said
