"""``python -m tests.faults``: the whole laboratory, or with ``--every N`` a sample of it."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

from genas.pipeline.config import REPOSITORY
from tests.faults import disk, kills, laboratory, page
from tests.faults.running import preload
from tests.faults.templates import Templates


def main() -> int:
    """Run it, write the page, and say what is wrong; 1 where anything is."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--every", type=int, default=1, help="a sample: each N-th input, an N-th of the kills")
    parser.add_argument("--page", type=Path, default=REPOSITORY / "docs" / "reliability.md")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    preload()
    folder = Path(tempfile.mkdtemp(prefix="genas-faults-"))
    templates, wrong, counts, started = Templates(folder), [], {}, time.monotonic()
    try:
        for name, cases in laboratory.FAMILIES.items():
            counts[name], said = laboratory.examine(name, cases, templates, asked.every)
            wrong += said
            print(f"{time.monotonic() - started:5.0f} s {name}: {counts[name].tried} tried", flush=True)
        killed = kills.kill_all(templates, asked.every)
        wrong += [f"killed: {one}" for one in killed if not one.same or one.left]
        print(f"{time.monotonic() - started:5.0f} s kills", flush=True)
        rest = disk.examine(templates, asked.every)
        wrong += [f"{what}: {seen}" for what, right, seen in rest if not right]
        print(f"{time.monotonic() - started:5.0f} s", *rest, sep="\n  ", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    page.write(asked.page, counts, killed, rest)
    print(f"{len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
