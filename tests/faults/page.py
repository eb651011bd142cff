"""The page ``docs/reliability.md``: an introduction that people write, and the tables of the last run of all."""

from __future__ import annotations

import platform
import re
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.faults.disk import Row
from tests.faults.kills import Killed
from tests.faults.laboratory import Count

MARK = "<!-- Written by make faults; what stands above this line is kept. -->"
PACKAGES = ("torch", "dvc", "prefect", "mlflow", "distributed", "ray", "onedl-mmsegmentation")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def machine() -> str:
    """The kind of CPU, and the versions."""
    cpu = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", cpu)
    kind = "AVX-512" if "avx512f" in cpu else "AVX2" if "avx2" in cpu else "no AVX2"
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    about = f"{name[1] if name else platform.machine()} ({kind}), Python {platform.python_version()}, {versions}."
    return textwrap.fill(about, 120)


def inputs(counts: dict[str, Count]) -> str:
    """The families of malformed inputs, and their sum."""
    head = (
        "family",
        "tried",
        "one clear line",
        "accepted rightly",
        "tracebacks",
        "another end",
        "lost",
        "processes left",
    )
    rows = []
    for name, count in counts.items():
        faults = [count.faults[kind] for kind in ("traceback", "line", "lost", "left")]
        rows.append([name, count.tried, count.refused, count.accepted, *faults])
    rows.append(["all", *(sum(row[column] for row in rows) for column in range(1, len(head)))])
    apart = sum(count.apart for count in counts.values())
    return f"{table(head, rows)}\n\n{apart} of them were run as processes of their own, too, with the same end.\n"


def kills(found: Sequence[Killed]) -> str:
    """Every stage and the run that were killed."""
    head = ("stage", "kills that hit", "same bytes as unkilled", "processes left")
    rows = [(one.what, one.hits, "yes" if one.same else "no", one.left) for one in found]
    return f"{table(head, rows)}\n\n{sum(one.hits for one in found)} kills.\n"


def write(path: Path, counts: dict[str, Count], killed: Sequence[Killed], rest: Sequence[Row]) -> None:
    """Replace what stands below the mark."""
    kept = path.read_text().split(MARK)[0] if path.exists() else "# Reliability\n\n"
    parts = [
        f"{kept}{MARK}\n",
        f"{machine()}\n",
        "## Malformed inputs\n",
        inputs(counts),
        "## Kills\n",
        kills(killed),
        "## Full disks, two runs, damaged caches\n",
        table(
            ("what", "as it must be", "seen"), [(what, "yes" if right else "no", seen) for what, right, seen in rest]
        ),
    ]
    path.write_text("\n".join(parts) + "\n")
