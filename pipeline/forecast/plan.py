"""The forecast of a profile: what each row has to do, how long it takes, and what all of it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genas.models.errors import GenasError
from genas.pipeline.config import Params, load_params
from genas.pipeline.data.reading.layouts import require_layout, root_of, validation_images
from genas.pipeline.forecast.calibration import calibrate
from genas.pipeline.forecast.devices import CALL, DECODE, EFFICIENCY, START_UP, device, measured_seconds, seconds_on
from genas.pipeline.forecast.schedule import schedule
from genas.pipeline.forecast.work import Images, Profile, Work, forecast_of
from genas.pipeline.results.records import manifest, timing
from genas.pipeline.stages import Key
from genas.pipeline.stages.graph import graph

PUBLISHED = {
    "cifar10": Images(50_000, 10_000, 10),
    "cifar100": Images(50_000, 10_000, 100),
    "imagenet": Images(1_281_167, 50_000, 1000),
    "imagenet16_120": Images(151_700, 6_000, 120),
    "shift": Images(0, 19_500, 1000),  # V2 10,000, A 7,500, O 2,000
    "coco": Images(118_287, 5_000, 80),
    "cityscapes": Images(2_975, 500, 19),
}
"""Sizes of published data sets by the name of their folder, or by their layout where that is theirs alone."""


def sets_of(folder: Path, params: Params) -> dict[str, Images]:
    """The data sets whose size is known: as the scans recorded them, else as they were published."""
    found = {}
    for name, spec in params.data.items():
        recorded = manifest(folder, name)
        if recorded:
            splits: dict[str, int] = recorded["splits"]
            train = splits.get("train", 0)
            val = sum(splits.values()) if spec.layout == "shift" else validation_images(spec.layout, splits)
            found[name] = Images(train, val, len(recorded["classes"]) or _published(spec.path, spec.layout).classes)
        elif spec.path is not None and _published(spec.path, spec.layout).val:
            found[name] = _published(spec.path, spec.layout)
    return found


def _published(path: str | None, layout: str) -> Images:
    return PUBLISHED.get(Path(path or "").name) or PUBLISHED.get(layout) or Images(0, 0, 10)


def missing(folder: Path, params: Params) -> list[dict[str, str]]:
    """The data sets that are not there, with where they are looked for and where they come from."""
    lacking = []
    for name, spec in params.data.items():
        if spec.derive is not None:
            continue
        root = root_of(spec, folder / "out" / "data" / name)
        try:
            require_layout(name, spec, root)
        except GenasError:
            lacking.append({"data": name, "folder": str(root), "source": spec.source})
    return lacking


def works_of(profile: Profile, keys: Sequence[Key]) -> tuple[dict[Key, Work], dict[Key, str]]:
    """The work of each row, and why there is none of the others."""
    works, reasons = {}, {}
    for key in keys:
        try:
            works[key] = forecast_of(key[0]).work(profile, key)
        except (GenasError, ImportError) as error:
            reasons[key] = str(error)
    return works, reasons


def forecast(
    folder: Path, keys: Sequence[Key], machines: int = 1, named: str | None = None, again: bool = False
) -> dict[str, Any]:
    """What rows cost, in the order of the chain, as plain data.

    Args:
        folder: the profile's.
        keys: the rows that are to run.
        machines: devices, or processes on a CPU, that take a row each.
        named: a device of :data:`~genas.pipeline.forecast.devices.DEVICES`; none for this machine, whose rates are
            measured unless they are known.
        again: measure them anew.

    Raises:
        GenasError: wrong parameters, an unknown device.
    """
    chosen = device(named) if named else None
    params = load_params(folder)
    profile = Profile(params, sets_of(folder, params))
    nodes = graph(params)
    works, reasons = works_of(profile, [key for key in nodes if key in set(keys)])
    if chosen is not None:
        seconds = {key: seconds_on(work, chosen) for key, work in works.items()}
        on: dict[str, Any] = {
            "device": str(named),
            "source": chosen.source,
            "memory": chosen.memory,
            "efficiency": EFFICIENCY,
        }
        on |= {"seconds_a_call": CALL, "seconds_a_file": DECODE, "start_up": START_UP}
    else:
        measured = calibrate(folder, profile, works, again)
        seconds = {key: measured_seconds(work, measured["rates"]) for key, work in works.items()}
        on = {**measured["machine"], "start_up": measured["start_up"]}
    whole = {key: value + on["start_up"] for key, value in seconds.items()}
    planned = schedule(whole, {key: nodes[key].inputs for key in whole}, machines)
    return {
        "profile": params.profile,
        "on": on,
        "machines": machines,
        "rows": [
            _row(folder, key, works.get(key), seconds.get(key), reasons.get(key, ""))
            for key in nodes
            if key in set(keys)
        ],
        "total": {
            "seconds": sum(whole.values()),
            "wall_seconds": planned.seconds,
            "critical_path": ["@".join(key).removesuffix("@") for key in planned.path],
            "critical_seconds": planned.longest,
            "flops": sum(work.flops for work in works.values()),
            "disk": sum(work.disk for work in works.values()),
            "memory": max((work.memory for work in works.values()), default=0),
        },
        "missing": missing(folder, params),
    }


def _row(folder: Path, key: Key, work: Work | None, seconds: float | None, reason: str) -> dict[str, Any]:
    found: Mapping[str, Any] = timing(folder, key)
    numbers = {name: getattr(work, name, None) for name in ("steps", "images", "flops", "memory", "disk")}
    return {
        "stage": key[0],
        "row": key[1],
        **numbers,
        "seconds": seconds,
        "unknown": reason,
        "measured": found.get("seconds"),
    }
