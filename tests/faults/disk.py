"""Full disks, two runs at once, and a damaged cache of DVC."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from tests.faults.judging import Case, Place, contents, judge
from tests.faults.running import Call, run
from tests.faults.templates import Templates
from tests.flows.conftest import Toy

Row = tuple[str, bool, str]
"""What was done, whether all went as it must, and what was seen."""

FULL = {
    "pipeline supernet dataset=small seed=0": ("plain", "supernet/small-0"),
    "pipeline search dataset=small metric=flatness seed=0": ("trained", "search/small-flatness-0"),
    "pipeline retrain row=published": ("trained", "retrain/published"),
    "pipeline nasbench201 dataset=small recipe=darts seed=0": ("laboratory", "nasbench201/small-darts-0"),
    "pipeline data dataset=small_shift": ("plain", "data/small_shift"),
}
"""Calls that write, the template that they need, and where they write."""
ROOM = (12, 80)
"""KiB that are left on the disk."""


def results(out: Path) -> dict[str, bytes]:
    """What a row has left, but for its times."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "timing.json"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[None]:
    """A file system in memory, of some KiB; needs root."""
    folder.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)], check=True, capture_output=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount(folder: Path) -> bool:
    """Whether this user may mount a small disk."""
    try:
        with small_disk(folder, 64):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def fill(line: str, source: Path, expected: dict[str, bytes], room: int, mount: bool) -> tuple[bool, list[str]]:
    """Run a call in a copy of ``source`` on a disk with ``room`` KiB left, then with enough.

    Returns:
        Whether the disk was full; what is wrong.
    """
    disk, scrap, (template, where) = source.with_name("disk"), source.parent, FULL[line]
    place, case = Place(disk), Case(line, template, line, "no space left on the disk of ")
    size = sum(-(-path.stat().st_size // 4096) * 4 for path in source.rglob("*") if path.is_file())
    with small_disk(disk, size + room) if mount else nullcontext():
        shutil.copytree(source, disk, dirs_exist_ok=True)
        before, call = contents(disk), place.call(line, {})
        ended = run(call if mount else replace(call, largest=room * 1024), scrap)
        if ended.status == 0:
            return False, []
        faults = [f"{fault.kind}: {fault.what}" for fault in judge(case, place, before, ended)]
        if mount:
            subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        again = run(place.call(line, {}), scrap)
        if again.status != 0 or results(place.root / "out" / where) != expected:
            faults.append(f"with room: status {again.status}, other bytes or none; {again.err.strip()}")
    return True, faults


def full_disks(templates: Templates, every: int) -> list[Row]:
    """Every call that writes, with little room and with less."""
    mount = can_mount(templates.folder / "disk")
    how = "a small tmpfs" if mount else "RLIMIT_FSIZE (a tmpfs was not run: needs root)"
    rows, source = [], templates.folder / "source"
    for line in list(FULL)[::every]:
        template, where = FULL[line]
        templates.copy(template).folder.rename(source)
        shutil.rmtree(source / "profile/out" / where, ignore_errors=True)
        whole = templates.copy(template)
        templates.run(whole, line)
        expected = results(whole.root / "out" / where)
        tried = {}
        for room in ROOM:
            tried[room] = fill(line, source, expected, room, mount)
            shutil.rmtree(templates.folder / "disk", ignore_errors=True)
        shutil.rmtree(source)
        full = ", ".join(str(room) for room, (was, _) in tried.items() if was)
        wrong = [fault for _, faults in tried.values() for fault in faults]
        seen = f"full with {full} KiB left: one line, nothing half-written; with room, the same bytes"
        rows.append((f"`{line}` on {how}", bool(full) and not wrong, "; ".join(wrong) or seen))
    return rows


def quiet(toy: Toy, folder: Path) -> Call:
    """``genas run supernet@a-0`` of a toy profile, with a Prefect database of its own."""
    url = f"sqlite+aiosqlite:///{folder / 'prefect.db'}"
    line = f"genas run search@a-angle-0 --profile {toy.folder}"
    return Call.of(line, toy.folder, PREFECT_SERVER_DATABASE_CONNECTION_URL=url)


def waited(what: Callable[[], object], seconds: float = 120) -> bool:
    """Whether a function became true in time."""
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(what())


def two_at_once(templates: Templates) -> list[Row]:
    """A run that is busy, a second that says so, a third that waits."""
    place = templates.copy("toy")
    toy = Toy(place.root)
    (place.root / "raw" / "a.txt").write_text("more")
    toy.fault("supernet@a-0", "meet go")
    toy.forget()
    call = quiet(toy, place.folder)
    first = subprocess.Popen(
        call.command, cwd=call.folder, env=call.environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    begun = waited(lambda: toy.runs("supernet@a-0"))
    second = run(call, templates.folder)
    third = subprocess.Popen(
        [*call.command, "--wait"],
        cwd=call.folder,
        env=call.environment,
        stderr=subprocess.PIPE,
        text=True,
        stdout=subprocess.DEVNULL,
    )
    assert third.stderr is not None
    waits = third.stderr.readline()
    (place.root / "runs" / "go 1").touch()
    third.communicate(timeout=300)
    working = rf"another run \(PID {first.pid}, since \d\d:\d\d, stage supernet@a-0\) is working"
    ended = (first.wait(), third.returncode)
    rows = [
        ("a second run of a profile", begun and second.status == 2 and bool(
            re.fullmatch(rf"error: {working}, wait for it with --wait\n", second.err)), second.err.strip()),
        ("a third, with `--wait`", ended == (0, 0) and bool(re.fullmatch(rf"{working}, waiting for it\n", waits)),
         f"{waits.strip()}; both ended with {ended}"),
    ]  # fmt: skip
    shutil.rmtree(place.folder)
    return [(what, right, seen.replace(str(first.pid), "N")) for what, right, seen in rows]


def damaged_caches(templates: Templates) -> list[Row]:
    """An output that has to come from a cache whose object is damaged or gone."""
    rows, output = [], "out/supernet/a-0/metrics.json"
    for what in ("a flipped bit", "cut to nothing", "missing"):
        place = templates.copy("toy")
        toy = Toy(place.root)
        before, content = toy.outputs(), (toy.folder / output).read_bytes()
        toy.damage(output, {"a flipped bit": bytes([content[0] ^ 1]) + content[1:], "cut to nothing": b""}.get(what))
        ended = run(quiet(toy, place.folder), templates.folder)
        right = ended.status == 0 and toy.outputs() == before
        seen = "made again, the same bytes" if right else f"status {ended.status}, {ended.err.strip()[-300:]}"
        rows.append((f"the cached object of an output: {what}", right, seen))
        shutil.rmtree(place.folder)
    return rows


def examine(templates: Templates, every: int) -> list[Row]:
    """All of it."""
    return [*full_disks(templates, every), *two_at_once(templates), *damaged_caches(templates)]
