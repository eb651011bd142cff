"""Measures and layouts of an installed package: found by entry points, and only the rows that use them depend on it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from genas.flows.machines import source
from genas.models.errors import GenasError
from genas.pipeline import measures
from genas.pipeline.config import DataParams, load_params, offered
from genas.pipeline.data.reading.images import load_images, pictures
from genas.pipeline.data.stage import describe
from genas.pipeline.machine import imports
from genas.pipeline.machine.imports import closure, code_digest
from genas.pipeline.scoring import code
from tests.conftest import Tiny

MEASURE = '''"""A measure."""

from genas.pipeline.measures import mean_over
from .parts import PART


def measure(probe, architecture):
    return {"halves": PART}


def scale(params):
    return 2.0
'''
LAYOUT = '''"""Pictures by lists: train.txt and val.txt, with a file and its class in each line."""

REQUIRED = ("train.txt", "val.txt")


def classes(root):
    return sorted({line.split()[1] for line in (root / "train.txt").read_text().splitlines()})


def images(root, split):
    names = classes(root)
    lines = [line.split() for line in (root / f"{split}.txt").read_text().splitlines()]
    return [(root / file, names.index(name) if name in names else len(names)) for file, name in lines]
'''
ENTRIES = "[genas.measures]\nhalves = acme.halves\n[genas.layouts]\nlists = acme.lists\n"


def install(site: Path, name: str, entries: str, **modules: str) -> None:
    """What pip leaves of a package."""
    (site / name).mkdir(parents=True)
    (site / name / "__init__.py").touch()
    for module, text in modules.items():
        (site / name / f"{module}.py").write_text(text)
    about = site / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entries)


def forget() -> None:
    """As a new process begins: what is installed has changed."""
    for known in (offered, imports._installed, imports._imports, imports._holds_code):
        known.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] in ("acme", "other")]:
        del sys.modules[name]


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an installed package that offers a measure and a layout."""
    site = tmp_path / "site"
    install(site, "acme", ENTRIES, halves=MEASURE, parts="PART = 0.5\n", lists=LAYOUT)
    monkeypatch.syspath_prepend(str(site))
    forget()
    yield site / "acme"
    forget()


def coded(tiny: Tiny) -> dict[str, dict[str, Any]]:
    """What the stage of the measures leaves."""
    context = tiny.context("measures")
    code.run(context)
    return {str(p.relative_to(context.out)): json.loads(p.read_text()) for p in sorted(context.out.rglob("*.json"))}


def with_metric(tiny: Tiny) -> None:
    """One that takes the measure, and a search by it."""
    params = tiny.context("measures").params
    flatness = params.metrics["flatness"].model_dump(mode="json")
    tiny.change("metrics", mine={**flatness, "terms": {"halves": 1, "angle": 1}})
    tiny.change("matrix", search__metric=[*params.matrix.search.metric, "mine"])


def test_a_measure_is_found_and_only_its_rows_depend_on_its_package(acme: Path, tiny: Tiny) -> None:
    with_metric(tiny)
    assert measures.get("halves").scale(tiny.context("measures").params.measures) == 2
    assert measures.measure("halves", None, None) == {"halves": 0.5}  # type: ignore[arg-type]
    before = coded(tiny)
    assert set(before["search/small-mine-0.json"]["code"]) == {"halves", "angle"}
    (acme / "lists.py").write_text("# the package's, but not the measure's\n")
    assert coded(tiny) == before
    (acme / "parts.py").write_text("PART = 0.25\n")
    changed = {name for name, content in coded(tiny).items() if content != before[name]}
    assert changed == {"search/small-mine-0.json"}


def test_machines_compare_what_the_profile_uses_of_the_package(acme: Path, tiny: Tiny) -> None:
    (tiny.root / "dvc.yaml").touch()
    assert not [name for name in source.source(tiny.root) if "acme" in name], "the profile uses nothing of it"
    with_metric(tiny)
    wanted = source.source(tiny.root)
    assert {name for name in wanted if "acme" in name} == {f"the installed acme/{n}.py" for n in ("halves", "parts")}
    (acme / "lists.py").write_text("# the package's, but not the measure's\n")
    source.require_same(wanted, tiny.root)
    (acme / "parts.py").write_text("PART = 0.25\n")
    with pytest.raises(GenasError, match=r"^the installed acme/parts\.py differs from the coordinator's"):
        source.require_same(wanted, tiny.root)


def test_half_done_work_is_that_of_the_measures_code(acme: Path) -> None:
    before = code_digest("search", ["halves"])
    assert code_digest("search", ["angle"]) == code_digest("search"), "the project's own are in the stage's already"
    (acme / "parts.py").write_text("PART = 0.25\n")
    assert code_digest("search", ["halves"]) not in (before, code_digest("search"))


def test_imports_are_followed_inside_the_package_and_this_project_alone(acme: Path) -> None:
    files = {str(file) for file in closure("acme.halves", computed=False)}
    assert {"acme/halves.py", "acme/parts.py", "pipeline/measures/__init__.py"} <= files
    assert not any(file.startswith(("numpy", "torch", "acme/lists")) for file in files)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    root = tmp_path / "listed"
    for number, (split, name) in enumerate(2 * [("train", "bee"), ("train", "ant"), ("val", "bee")]):
        root.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), "red").save(root / f"{number}.png")
        with (root / f"{split}.txt").open("a") as lines:
            lines.write(f"{number}.png {name}\n")
    return root


def spec() -> DataParams:
    return DataParams(layout="lists", digest="content", path="listed", pixels=4)


def test_a_layout_is_read_and_its_code_is_in_the_manifest(acme: Path, listed: Path) -> None:
    found = describe("mine", spec(), listed)
    assert (found["splits"], found["classes"]) == ({"train": 4, "val": 2}, ["ant", "bee"])
    assert [pictures(listed, "lists", "val").label(i) for i in range(2)] == [1, 1]
    assert load_images(listed, "lists", "train", 4).pixels.shape == (4, 4, 4, 3)
    (acme / "parts.py").write_text("PART = 0.25\n")
    assert describe("mine", spec(), listed) == found
    (acme / "lists.py").write_text(LAYOUT + "\n")
    forget()
    again = describe("mine", spec(), listed)
    assert {name for name in found if found[name] != again[name]} == {"code"}


def test_what_is_wrong_in_a_layout_is_one_line(acme: Path, listed: Path) -> None:
    (listed / "val.txt").write_text("2.png wasp\n")
    with pytest.raises(GenasError, match=r"2\.png: class 2, but .* has 2 classes"):
        describe("mine", spec(), listed)
    (listed / "val.txt").unlink()
    with pytest.raises(GenasError, match=r"val\.txt is missing; layout lists expects train\.txt, val\.txt"):
        describe("mine", spec(), listed)


def test_unknown_names_are_refused_with_those_that_are_offered(acme: Path, tiny: Tiny) -> None:
    tiny.change("data", small__layout="list")
    with pytest.raises(GenasError, match=r"data\.small\.layout: unknown layout, expected .*camvid, lists, got 'list'"):
        load_params(tiny.root)


def test_two_packages_of_one_name_are_refused(acme: Path) -> None:
    install(acme.parent, "other", "[genas.measures]\nhalves = other.halves\n")
    offered.cache_clear()
    with pytest.raises(GenasError, match=r"two measures of the name halves: .*acme\.halves.*; uninstall one"):
        measures.get("halves")


def test_a_measure_without_source_is_refused(acme: Path) -> None:
    (acme / "halves.py").unlink()
    with pytest.raises(GenasError, match=r"acme\.halves: no source file"):
        code.code_of("halves")


def test_nothing_is_looked_for_where_the_project_has_all_names(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take a tenth of a second in every stage."""
    offered.cache_clear()
    monkeypatch.setattr("genas.pipeline.config.installed.entry_points", lambda group: pytest.fail(group))
    assert load_params(tiny.root).metrics
