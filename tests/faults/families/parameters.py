"""``params.yaml``: keys, types, ranges, names; YAML that means harm; what the frameworks are told by way of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import detectron2
import mmseg
import yaml

from tests.faults.families.tables import change, folder, gone, short, table_of, write
from tests.faults.judging import Case, Place, Spoil
from tests.pipeline import test_config
from tests.pipeline.nasbench201 import test_nasbench201
from tests.pipeline.nasbench201.test_nasbench201 import with_laboratory
from tests.pipeline.transfer import test_detect, test_segment

RESULTS = "genas results --profile {root}"
ZOO = "pipeline zoo row=darts_v2_c10"
DETECT, SEGMENT = "pipeline detect row=found", "pipeline segment row=found"


def changed(path: str, value: Any) -> Spoil:
    """The tiny parameters with one value changed."""
    return lambda place: test_config.write(place.root, test_config.changed(path, value))


def keys() -> list[Case]:
    """Each in turn by a command and by a stage."""
    rows = table_of(test_config.test_a_mistake_is_one_line_with_file_and_key)
    return [
        Case(
            f"{path}: {short(value)}", "plain", (RESULTS, ZOO)[i % 2], rf"params\.yaml: .*{line}", changed(path, value)
        )
        for i, (path, value, line) in enumerate(rows)
    ]


def texts() -> list[Case]:
    """Files that are no parameters, or more than that."""
    rows = table_of(test_config.test_a_file_that_holds_no_parameters)
    rows += table_of(test_config.test_yaml_that_means_harm)
    cases = []
    for i, (content, line) in enumerate(rows):
        spoil = write("params.yaml", content) if content is not None else gone("params.yaml")
        call = RESULTS if content is not None else ZOO
        cases.append(Case(f"text {i}: {short(content)}", "plain", call, line, spoil))
    ran = "!!python/object/apply:os.mkdir [ran]"
    tags = (ran, "!!python/name:os.system ''", "!!python/module:os ''", "!!python/object/new:os.mkdir [[ran]]")
    run = "genas run --profile {root}"
    cases += [Case(tag, "plain", run, "not YAML", write("params.yaml", f"code: {tag}")) for tag in tags]
    return [*cases, Case("a folder", "plain", RESULTS, r"params\.yaml: cannot be read", folder("params.yaml"))]


SHELL = ["x; mkdir {ran}", "$(mkdir {ran})", "`mkdir {ran}`", "x && mkdir {ran}", "x\nmkdir {ran}", "../x"]
"""What a shell would run, as the graph's commands hold names of rows."""


def shell(section: str, key: str, text: str) -> Spoil:
    """A name in ``params.yaml`` that a shell would take apart."""
    name, axis = key.split("__")

    def spoil(place: Place) -> None:
        rows = yaml.safe_load((place.root / "params.yaml").read_text())[section][name][axis]
        place.tiny.change(section, **{key: [*rows, text.format(ran=place.ran)]})

    return spoil


def commands() -> list[Case]:
    """Names of rows, which stand in the commands of ``dvc.yaml``."""
    places = [("matrix", "zoo__row"), ("matrix", "supernet__dataset"), ("matrix", "search__metric")]
    places += [("matrix", "shift__row"), ("matrix", "rerank__search"), ("matrix", "detect__row")]
    cases = []
    for i, (section, key) in enumerate(places):
        for text in SHELL if not i else SHELL[i : i + 1]:
            name, line = (
                f"{section}.{key.replace('__', '.')}: {text!r}",
                rf"params\.yaml: .*({key.split('__')[0]}|metric)",
            )
            cases.append(Case(name, "plain", "genas run --profile {root}", line, shell(section, key, text)))
    for section in ("data", "rows", "recipes", "metrics"):
        named = change(section, **{"x; mkdir ../ran": {}})
        cases.append(Case(f"{section}: a shell's command", "plain", "genas run --profile {root}", "pattern", named))
    return cases


def nasbench201() -> list[Case]:
    """Settings of the laboratory."""
    rows = table_of(test_nasbench201.test_wrong_settings_are_refused)
    return [
        Case(
            f"nasbench201: {short(values)}",
            "plain",
            RESULTS,
            line,
            lambda place, values=values: with_laboratory(place.tiny).change("nasbench201", **values),
        )
        for values, line in rows
    ]


def override(section: str, values: dict[str, Any]) -> Spoil:
    """Overrides in the place of, or beside, those of the small scenes."""
    small = {"detect": test_detect.SMALL, "segment": test_segment.SMALL}[section]
    return lambda place: place.tiny.change(section, overrides={**small, **values})


def bomb(section: str, package: Any, inside: str, way: str, text: str) -> Spoil:
    """A configuration from elsewhere, which makes a folder when it is read."""

    def spoil(place: Place) -> None:
        suffix = ".yaml" if section == "detect" else ".py"
        path = place.folder / f"bomb{suffix}"
        path.write_text(text.format(ran=place.ran))
        folder = (Path(package.__file__).parent / inside).resolve()
        place.tiny.change(section, base=str(path) if way == "absolute" else os.path.relpath(path, folder))

    return spoil


def frameworks() -> list[Case]:
    """``detect`` and ``segment``: overrides and bases; of long tables each second row, for every call builds much."""
    cases = []
    for changes, line in table_of(test_detect.test_wrong_parameters_are_one_line)[::2]:
        spoil = override("detect", changes["overrides"]) if "overrides" in changes else change("detect", **changes)
        cases.append(Case(f"detect: {short(changes)}", "scenes", DETECT, escape(line), spoil))
    for row in table_of(test_detect.test_what_cannot_be_built_is_said_before_training):
        line = r"^detect\.overrides: nothing can be built from them \("
        cases.append(Case(f"detect: {short(row)}", "scenes", DETECT, line, override("detect", row)))
    for values, line in table_of(test_segment.test_a_wrong_override_is_one_line)[::2]:
        line = escape(f"segment.overrides: {line}")
        cases.append(Case(f"segment: {short(values)}", "scenes", SEGMENT, line, override("segment", values)))
    for row in table_of(test_segment.test_what_cannot_be_built_is_said_before_training)[::2]:
        line = r"^segment\.overrides: "
        cases.append(Case(f"segment: {short(row)}", "scenes", SEGMENT, line, override("segment", row)))
    for base, line in table_of(test_segment.test_a_wrong_base_is_one_line):
        cases.append(Case(f"segment.base: {base}", "scenes", SEGMENT, escape(line), change("segment", base=base)))
    for way in ("up", "absolute"):
        line = "not a path below the framework's configurations"
        text = "!!python/object/apply:os.mkdir [{ran}]"
        spoil = bomb("detect", detectron2, "model_zoo/configs", way, text)
        cases.append(Case(f"detect.base runs code, {way}", "scenes", DETECT, line, spoil))
        spoil = bomb("segment", mmseg, ".mim/configs", way, "import os\nos.mkdir({ran!r})\n".replace("!r", ""))
        cases.append(Case(f"segment.base runs code, {way}", "scenes", SEGMENT, line, spoil))
    return cases


def escape(text: str) -> str:
    """A text as a pattern that finds it."""
    return re.escape(text)


def rewritten(old: str, new: str) -> Spoil:
    """The text of ``params.yaml`` with something else in it."""

    def spoil(place: Place) -> None:
        path = place.root / "params.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return spoil


def odd() -> list[Case]:
    """Rightly accepted."""
    merged = (
        "rows:\n  other: &o {cell: zoo/darts_v2_c10, width: 2, layers: 3, stem: cifar, image_size: 32, recipe: short}\n"
    )

    def written(encode: Callable[[str], bytes], **how: Any) -> Spoil:
        def spoil(place: Place) -> None:
            path = place.root / "params.yaml"
            path.write_bytes(encode(yaml.safe_dump(yaml.safe_load(path.read_text()), **how)))

        return spoil

    spoils = {
        "a number without a dot": rewritten("weight_decay: 0.0003", "weight_decay: 3e-4"),
        "a whole number for a real one": change("supernet", small__learning_rate=1),
        "a cell of another gamma": change("rows", found__cell="rerank/small-angle_flatness-0-16"),
        "keys merged": rewritten("rows:\n", f"{merged}  third:\n    <<: *o\n    width: 6\n"),
        "lines of another system": written(lambda text: text.replace("\n", "\r\n").encode()),
        "one line": written(str.encode, default_flow_style=True),
        "a byte order mark": written(lambda text: b"\xef\xbb\xbf" + text.encode()),
        "UTF-16": written(lambda text: text.encode("utf-16")),
        "a source in any script": change("data", small__source="Ünïcode ✓ 数据"),
        "stages without rows": change("matrix", detect__row=[], segment__row=[], shift__row=[], curvature__row=[]),
        "the largest seed": change("matrix", replica__seed=[2**32 - 1]),
    }
    return [Case(name, "plain", ZOO, None, spoil) for name, spoil in spoils.items()]


CASES = {
    "params.yaml": [*keys(), *texts(), *nasbench201(), *odd()],
    "params.yaml: names that a shell would run": commands(),
    "detect and segment: overrides, bases": frameworks(),
}
