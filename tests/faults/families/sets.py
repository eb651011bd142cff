"""Data sets: every defect that the unit tests know, through the stage that meets it, and the benchmark's table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tests.conftest import tiny_params
from tests.faults.families.parameters import escape
from tests.faults.families.tables import below, change, each, short, table_of, write
from tests.faults.judging import Case, Place, Spoil
from tests.faults.running import run
from tests.pipeline.data.good import GOOD, picture, save, sixteen_bits, write_shard, write_table
from tests.pipeline.data.test_defects import SCANNED, both, record, table, text
from tests.pipeline.laboratory import test_stage

DATA = "pipeline data dataset=mine"


def named(layout: str, digest: str = "content") -> Spoil:
    """The data set ``mine`` in ``params.yaml``."""
    about = {"layout": layout, "digest": digest, "path": "mine", "pixels": 16}
    return each(change("data", mine=about), change("supernet", mine=tiny_params()["supernet"]["small"]))


def mine(layout: str, spoil: Callable[[Path], object] = lambda root: None, digest: str = "content") -> Spoil:
    """A good data set, spoilt, and its name in ``params.yaml``."""

    def lay(place: Place) -> None:
        GOOD[layout](place.data / "mine")
        spoil(place.data / "mine")

    return each(named(layout, digest), lay)


def defects() -> list[Case]:
    """What the stage ``data`` finds."""
    cases = []
    for row in SCANNED:
        layout, spoil, line = row.values
        cases.append(Case(str(row.id), "plain", DATA, line, mine(layout, spoil)))
    return cases


def missing() -> list[Case]:
    """Sets that are not there, or not what they are called."""
    file = each(named("folder"), lambda place: save(place.data / "mine", b"a file"))
    nowhere = {"GENAS_DATA": "{folder}/nowhere"}
    return [
        *(
            Case(f"{layout}: missing", "plain", DATA, "data set mine: .* is missing; layout", named(layout))
            for layout in (*GOOD, "cityscapes", "cifar10", "cifar100")
        ),
        Case("a file for a folder", "plain", DATA, "is missing; layout folder", file),
        Case("no data root", "plain", DATA, "is missing", named("folder"), nowhere),
    ]


def scanned(place: Place) -> None:
    """The data set recorded, which must go well."""
    ended = run(place.call(DATA, {}), place.folder)
    assert ended.status == 0, ended.err


def derived(pattern: str, content: bytes) -> Spoil:
    """Another content of the first file that matches, of what a data stage has written."""
    return lambda place: below(place, f"out/data/{pattern}").write_bytes(content)


def read() -> list[Case]:
    """What only the decoding of pixels shows, found by the stage that reads them."""
    supernet, segment = "pipeline supernet dataset=mine seed=0", "pipeline segment row=found"
    used = change("matrix", supernet__dataset=["mine"])
    sizes = each(mine("parquet", table(image=[picture(), picture(size=(5, 4))])), used, scanned)
    half = each(mine("parquet", table(image=[picture(), picture()[:-30]])), used, scanned)
    labels, high = "streets/files/**/*labelTrainIds.png", sixteen_bits(np.full((128, 128), 300))
    torn, scene = derived(labels, picture("L", (128, 128))[:-30]), derived("scenes/files/**/*.png", b"x")
    return [
        Case(
            "pictures of two sizes", "plain", supernet, r"train\.parquet row 1: 5x4 pixels; images of different", sizes
        ),
        Case("a picture that is cut off", "plain", supernet, r"train\.parquet row 1: not a readable image \(", half),
        Case("labels that are cut off", "scenes", segment, r"labelTrainIds\.png: not a readable image \(", torn),
        Case(
            "labels of no class", "scenes", segment, r"labelTrainIds\.png: label 300, expected", derived(labels, high)
        ),
        Case("a scene that is no picture", "scenes", "pipeline detect row=found", "not a readable image", scene),
    ]


def manifests() -> list[Case]:
    """What the stage left, changed by hand."""
    name = "out/data/small/manifest.json"
    line = r"manifest\.json: .*run the stage data@small again$"
    call = "pipeline supernet dataset=small seed=0"
    contents: dict[str, str | bytes] = {
        "cut": '{"name": "sm', "empty": "", "a list": "[]", "no digest": '{"name": "small"}', "deep": "[" * 100_000,
        "bytes": b"\xff\xfe", "null": "null",
    }  # fmt: skip
    return [Case(f"manifest: {what}", "plain", call, line, write(name, content)) for what, content in contents.items()]


def odd() -> list[Case]:
    """Rightly accepted."""
    cases = [
        Case(f"{layout}, {digest}", "plain", DATA, None, mine(layout, digest=digest))
        for layout in GOOD
        for digest in ("content", "listing")
    ]
    train = "train/ant/b.png"

    def animated(root: Path) -> None:
        frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
        frames[0].save(root / train, save_all=True, append_images=frames[1:])

    for what, layout, spoil in (
        ("grey of 16 bits", "folder", text(train, sixteen_bits(np.full((4, 6), 999)))),
        ("palette", "folder", text(train, picture("P"))),
        ("grey with alpha", "folder", text(train, picture("LA"))),
        ("CMYK", "folder", text("train/ant/b.jpg", picture("CMYK", kind="jpeg"))),
        ("an animation", "folder", animated),
        ("a large picture", "folder", text(train, picture("L", (6000, 4000)))),
        ("a name with a space", "folder", text("train/ant/b c.png", picture())),
        ("a name in another script", "folder", text("train/ant/蟻.png", picture())),
        ("files beside the pictures", "folder", both(text("train/ant/README", b""), text("LICENSE", b"x"))),
        ("capitals in a suffix", "folder", text("train/ant/B.PNG", picture())),
        ("labels of 8 bits", "parquet", table(label=np.array([0, 1], np.uint8))),
        ("labels that are whole floats", "parquet", table(label=[0.0, 1.0])),
        ("more columns", "parquet", lambda root: write_table(root / "train.parquet", more=[1, 2])),
        ("classes with spaces", "parquet", text("classes.txt", "an ant\na bee\n")),
        ("a last line without an end", "parquet", text("classes.txt", "ant\nbee")),
        ("lines of another system", "parquet", text("classes.txt", "ant\r\nbee\r\n")),
        ("a shard with other members", "webdataset", lambda root: write_shard(
            root / "train/b.tar", [("0.png", picture()), ("0.cls", b"1\n"), ("0.txt.bak", b"x"), ("README", b"x")])),
        ("a class as JSON", "webdataset", lambda root: write_shard(
            root / "train/b.tar", [("0.png", picture()), ("0.json", b'{"label": 1}')])),
        ("a box past its image by rounding", "coco", record("annotations", bbox=[-0.5, 0, 7.0, 0])),
        ("a crowd", "coco", record("annotations", iscrowd=1)),
        ("ids of 64 bits", "coco", record("annotations", id=2**62)),
    ):  # fmt: skip
        cases.append(Case(what, "plain", DATA, None, mine(layout, spoil)))
    return cases


def benchmark() -> list[Case]:
    """The benchmark's table and those beside it, through the laboratory."""
    call = "pipeline laboratory dataset=small recipe=darts"

    def rewritten(make: Callable[[pd.DataFrame], pd.DataFrame], name: str = "table") -> Spoil:
        def spoil(place: Place) -> None:
            path = place.data / f"{name}.parquet"
            make(pd.read_parquet(path)).to_parquet(path)

        return spoil

    def laid(content: bytes) -> Spoil:
        return lambda place: (place.data / "table.parquet").write_bytes(content)

    def lost(name: str) -> Spoil:
        return lambda place: (place.data / f"{name}.parquet").unlink()

    def emptied(place: Place) -> None:
        (place.data / "table.parquet").unlink()
        (place.data / "table.parquet").mkdir()

    missing = "the benchmark's table is missing"
    cases = [
        Case(f"table: {short(line)}", "laboratory", call, escape(line), rewritten(make))
        for make, line in table_of(test_stage.test_a_wrong_table_is_one_line)
    ]
    cases += [
        Case("table: missing", "laboratory", call, missing, lambda place: (place.data / "table.parquet").unlink()),
        Case("table: no parquet", "laboratory", call, "no parquet file", laid(b"no table")),
        Case("table: empty", "laboratory", call, "no parquet file", laid(b"")),
        Case("table: a folder", "laboratory", call, "no folder of NATS-Bench", emptied),
        Case("table: right", "laboratory", call, None),
        Case("table: rows in another order", "laboratory", call, None, rewritten(lambda t: t.iloc[::-1])),
        Case("table: more columns", "laboratory", call, None, rewritten(lambda t: t.assign(more=1))),
    ]
    beside = {
        "robustness": test_stage.test_a_wrong_table_of_attacks_is_one_line,
        "zero_cost": test_stage.test_a_wrong_table_of_zero_cost_measures_is_one_line,
    }
    for name, wrong in beside.items():
        cases += [
            Case(f"{name}: {short(line)}", "laboratory", call, escape(line), rewritten(make, name))
            for make, line in table_of(wrong)
        ]
        gone = change("nasbench201", **{f"settings__{name}": None})
        cases.append(Case(f"{name}: null", "laboratory", call, None, gone))
        cases.append(Case(f"{name}: missing", "laboratory", call, r"the table of .* is missing", lost(name)))
    scores = "out/nasbench201/small-darts-1/scores.parquet"
    for what, content in (("cut", b"PAR1"), ("empty", b""), ("text", b"a,b\n1,2\n")):
        cases.append(Case(f"scores: {what}", "laboratory", call, r"scores\.parquet", write(scores, content)))
    return cases


CASES = {
    "data sets": [*defects(), *missing(), *read(), *manifests(), *odd()],
    "tables of the benchmark": benchmark(),
}
