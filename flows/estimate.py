"""What ``genas plan`` does: ask what is stale, have it forecast (:mod:`genas.pipeline.forecast`), show it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from genas.flows.graph import stage_graph
from genas.flows.plan import plan
from genas.flows.processes.children import Children
from genas.flows.processes.lock import run_lock
from genas.flows.progress import shown
from genas.flows.run import checked, console
from genas.models.errors import GenasError
from genas.pipeline.stages import Key

PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


class Question(NamedTuple):
    """What is asked: of which rows, how many devices or processes take one each, a named device or this machine, which
    may be measured anew; whether those that have run are to be compared instead of those that are to."""

    profile: str
    targets: tuple[str, ...]
    gpus: int
    jobs: int
    device: str
    calibrate: bool
    compare: bool


def keys_of(question: Question) -> list[Key]:
    """The rows that are stale, or those that were asked for where they are compared.

    Raises:
        GenasError: an unknown profile or target, or another run of the profile is working.
    """
    folder, children = checked(question.profile), Children()
    if question.compare:
        names: Sequence[str] = list(stage_graph(folder, question.targets))
    else:
        with run_lock(folder, wait=False), shown(console(stderr=True)):
            try:
                names = list(plan(folder, question.targets, children))
            finally:
                children.stop()
    return [(stage, row) for stage, _, row in (name.partition("@") for name in names)]


def estimate(question: Question, stages: bool = False, as_json: bool = False) -> None:
    """Print the forecast.

    Raises:
        GenasError: as :func:`keys_of`; an unknown device, calibration asked for beside it, or nothing to compare.
    """
    import torch

    from genas.pipeline.forecast.devices import device
    from genas.pipeline.forecast.plan import forecast

    if question.device:
        device(question.device)
        if question.calibrate:
            raise GenasError("--calibrate measures this machine, --device names another: give one of them")
    machines = question.gpus if question.device or torch.cuda.is_available() else question.jobs
    found = forecast(checked(question.profile), keys_of(question), machines, question.device, question.calibrate)
    if question.compare:
        found["rows"] = [row for row in found["rows"] if row["measured"] is not None]
        if not found["rows"]:
            raise GenasError(f"profile {found['profile']}: no row has run yet, so there is nothing to compare")
    if as_json:
        print(json.dumps(found, indent=1))
    elif question.compare:
        compare(found, console())
    else:
        show(found, console(), stages)


def amount(value: float | None, unit: str = "") -> str:
    """Three digits with a prefix: ``1.28M``, ``3.5 TB``; ``?`` for what is not known, ``-`` for nothing."""
    if not value:
        return "?" if value is None else "-"
    power = 0
    while value >= 999.5 and power + 1 < len(PREFIXES):
        value, power = value / 1000, power + 1
    return f"{value:.3g}{' ' * bool(unit)}{PREFIXES[power]}{unit}"


def duration(seconds: float | None) -> str:
    """Its two largest units: ``9 d 4 h``, ``3 h 05 min``, ``7 min 30 s``, ``12 s``."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    for name, size, lesser, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part:02d} {lesser}"
    return f"{whole} s"


def _table(*headings: str) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", overflow="fold", no_wrap=number > 0)
    return table


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['stage']}@{row['row']}".removesuffix("@")


def _summed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of each stage as one, whose memory is the largest; what is not known of one is not known."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["stage"], []).append(row)
    summed = []
    for stage, members in groups.items():
        values: dict[str, Any] = {"stage": f"{stage} ({len(members)})", "row": ""}
        for name in ("steps", "images", "flops", "seconds", "memory", "disk"):
            numbers = [member[name] for member in members]
            values[name] = None if None in numbers else (max if name == "memory" else sum)(numbers)
        summed.append(values)
    return summed


def show(found: Mapping[str, Any], out: Console, stages: bool = False) -> None:
    """The forecast as a table, and below it what all of it comes to."""
    if not found["rows"]:
        out.print(f"{found['profile']}: everything is up to date")
        return
    on, total = found["on"], found["total"]
    table = _table("stage" if stages else "row", "steps", "images", "FLOP", "time", "memory", "disk")
    for row in _summed(found["rows"]) if stages else found["rows"]:
        numbers = [amount(row[name]) for name in ("steps", "images", "flops")]
        table.add_row(
            _name(row), *numbers, duration(row["seconds"]), amount(row["memory"], "B"), amount(row["disk"], "B")
        )
    out.print(table)
    lines = [
        f"sum       {duration(total['seconds'])}, {amount(total['flops'], 'FLOP')}, "
        f"{amount(total['disk'], 'B')} on disk, at most {amount(total['memory'], 'B')} of memory a row",
        f"wall      {found['machines']} at once: {duration(total['wall_seconds'])}; "
        f"however many at once: {duration(total['critical_seconds'])}",
        f"longest   {' > '.join(total['critical_path'])}",
    ]
    if "source" in on:
        lines.append(
            f"assumed   {on['device']} ({on['source']}), {on['efficiency']:.0%} of its peak arithmetic or bandwidth, "
            f"{1e6 * on['seconds_a_call']:.0f} us a kernel, {1e3 * on['seconds_a_file']:.0f} ms of a core to read an "
            f"image, {on['start_up']:.0f} s before each row"
        )
        if total["memory"] > on["memory"]:
            lines.append(f"memory    {amount(total['memory'], 'B')} do not fit: raise accumulate in the recipe")
    else:
        lines.append(
            f"measured  {on['device']}, {on['instructions']}, torch {on['torch']}, "
            f"{on['start_up']:.0f} s before each row"
        )
    lines += [f"unknown   {_name(row)}: {row['unknown']}" for row in found["rows"] if row["unknown"]]
    lines += [
        f"missing   {one['data']} in {one['folder']}: {one['source'] or 'no source given'}" for one in found["missing"]
    ]
    for line in lines:
        out.print(line, highlight=False, markup=False)


def compare(found: Mapping[str, Any], out: Console) -> None:
    """Predicted and measured seconds side by side, without the start of processes, which no row measures."""
    table = _table("row", "predicted s", "measured s", "difference")
    pairs = [(_name(row), row["seconds"], row["measured"]) for row in found["rows"] if row["seconds"] is not None]
    pairs.append(("sum", sum(pair[1] for pair in pairs), sum(pair[2] for pair in pairs)))
    for name, predicted, measured in pairs:
        share = f"{100 * (predicted / measured - 1):+.0f} %" if measured else "-"
        table.add_row(name, f"{predicted:.1f}", f"{measured:.1f}", share)
    out.print(table)
