"""What rows have left, changed by hand or by a disk, and what reads it: results, report, tracking, export, parity."""

from __future__ import annotations

import json

import torch

from tests.benchmarks.test_parity import SHAPE, test_odd_cases_are_one_line
from tests.bomb import Bomb
from tests.faults.families.tables import change, each, folder, gone, short, table_of, write
from tests.faults.judging import Case, Place, Spoil

RESULTS, REPORT = "genas results --profile {root}", "genas report --profile {root}"
STAGE, REBUILD = "pipeline report", "genas track rebuild --profile {root}"
TRACKED = {"GENAS_MLFLOW": "", "MLFLOW_TRACKING_URI": "sqlite:///{folder}/tmp/mlflow.db"}
"""Tracking on, which calls have off otherwise, into a database of the case's own."""
PICTURED = ("genotype.json", "agreement.csv", "errors.csv", "boxes.json", "classes.json", "0.png", "0-labels.png")
"""Files that the tracking draws, and does without where they are broken."""


def broken() -> list[Case]:
    """A file that is not what the row left: named in the line, whoever meets it."""
    cases = []
    metrics = "out/retrain/flatness/metrics.json"
    contents: dict[str, str | bytes] = {
        "cut": '{"top1": 8', "empty": "", "a list": "[1, 2]", "a number": "5", "null": "null", "text": "top1: 5",
        "a text for a number": '{"top1": "many"}', "a list for a number": '{"top1": [81.5]}', "deep": "[" * 100_000,
        "bytes": b"\xff\xfe\x00", "true for a number": '{"top1": true}',
        "a huge integer": '{"top1": 1' + "0" * 400 + "}",
        "more digits than are read": "9" * 5000,
    }  # fmt: skip
    for i, (what, content) in enumerate(contents.items()):
        call = {2: REPORT, 7: STAGE}.get(i, RESULTS)
        cases.append(Case(f"metrics.json: {what}", "finished", call, r"metrics\.json: ", write(metrics, content)))
    for i, (name, content) in enumerate(
        (
            ("out/retrain/flatness/timing.json", "{"),
            ("out/retrain/flatness/timing.json", "[]"),
            ("out/retrain/flatness/timing.json", '{"seconds": "long"}'),
            ("out/data/digits/manifest.json", "{"),
            ("out/data/digits/manifest.json", "[]"),
            ("out/data/digits/manifest.json", '{"splits": 5}'),
            ("out/retrain/flatness/history.csv", ""),
            ("out/retrain/flatness/history.csv", "epoch,loss\n0,1\n1,1,1\n"),
            ("out/retrain/flatness/history.csv", b"\xff\xfe"),
            ("out/retrain/flatness/history.csv", "epoch,loss,top1\nfirst,much,little\n"),
            ("out/supernet/digits-0/history.csv", "a,b\nx,y\n"),
            ("out/search/digits-flatness-0/candidates.parquet", b"PAR1"),
            ("out/search/digits-flatness-0/candidates.parquet", b""),
            ("out/search/digits-flatness-0/history.csv", "generation\n0\n"),
            ("out/search/digits-flatness-0/genotype.json", "{"),
            ("out/search/digits-flatness-0/genotype.json", "[]"),
            ("out/agreement/digits-0/agreement.csv", ""),
            ("out/agreement/digits-0/agreement.csv", "measure,flatness\nflatness,high\n"),
            ("out/agreement/digits-0/errors.csv", "measure\n"),
            ("out/detect/flatness/examples/boxes.json", "{"),
            ("out/detect/flatness/examples/boxes.json", "5"),
            ("out/detect/flatness/examples/0.png", b"no picture"),
            ("out/segment/flatness/examples/classes.json", "{"),
            ("out/segment/flatness/examples/0-labels.png", b""),
        )
    ):
        _, stage, row, *_, file = name.split("/")
        line, call, where, warning = f"({file}|not what {stage}@{row} leaves)", REPORT, {}, ""
        if i % 3 == 0:
            call, where = REBUILD, TRACKED
            if file in PICTURED:
                line, warning = None, "^warning: .* has a picture that cannot be drawn: "
        what = f"{call.split()[1]}: {stage}, {file}: {short(content)}"
        cases.append(Case(what, "finished", call, line, write(name, content), where, warning))
    errors = folder("out/agreement/digits-0/errors.csv")
    return [*cases, Case("report: errors.csv is a folder", "finished", REPORT, r"errors\.csv", errors)]


def hostile(place: Place) -> None:
    """Pictures and texts that would be run in a browser."""
    rows = place.root / "out/retrain/flatness/metrics.json"
    rows.write_text(json.dumps({**json.loads(rows.read_text()), "<script>alert(1)</script>": 1.0}))


def right() -> list[Case]:
    """Rightly accepted."""
    return [
        Case("results", "finished", RESULTS, None),
        Case("results as JSON", "finished", f"{RESULTS} --json", None),
        Case("report", "finished", REPORT, None),
        Case("rebuild", "finished", REBUILD, None, environment=TRACKED),
        Case(
            "NaN among the metrics", "finished", RESULTS, None, write("out/detect/flatness/metrics.json", '{"ap": NaN}')
        ),
        Case(
            "infinity among the metrics",
            "finished",
            REPORT,
            None,
            write("out/detect/flatness/metrics.json", '{"ap": 1e999}'),
        ),
        Case(
            "null among the metrics",
            "finished",
            RESULTS,
            None,
            write("out/detect/flatness/metrics.json", '{"ap": null}'),
        ),
        Case("no metrics of a row", "finished", REPORT, None, gone("out/retrain/flatness/metrics.json")),
        Case("no timing of a row", "finished", REPORT, None, gone("out/retrain/flatness/timing.json")),
        Case("a metric that nobody knows", "finished", REPORT, None, hostile),
        Case(
            "a row that the parameters do not have",
            "finished",
            RESULTS,
            None,
            write("out/retrain/stray/metrics.json", "{"),
        ),
        Case("nothing has run", "plain", "genas report --profile {root}", None),
    ]


def exports() -> list[Case]:
    """``genas export`` of the trained profile."""
    export = "genas export published --profile {root}"
    weights = "out/retrain/published"
    mine = write("mine/README.md", "mine")
    stage, row = "out/zoo/darts_v2_c10/genotype.json", {"published__width": 4}
    cases: list[Case] = []
    for spoil, line in (
        (change("rows", **row), r"weights\.safetensors: a network of width 2, expected 4"),
        (change("rows", published__layers=5), r"a network of layers 3, expected 5"),
        (change("rows", published__stem="imagenet"), "a network of stem cifar, expected imagenet"),
        (change("rows", published__image_size=48), "a network of image size 32, expected 48"),
        (write(stage, "{"), r"genotype\.json: not JSON"),
        (write(f"{weights}/metrics.json", "{"), r"metrics\.json: "),
        (write(f"{weights}/metrics.json", "[]"), r"metrics\.json: "),
        (write("out/shift/published/metrics.json", "{"), r"metrics\.json: "),
        (write("out/data/small/manifest.json", "{"), r"manifest\.json: "),
    ):
        cases.append(Case(f"export: {short(line)}", "trained", export, line, spoil))
    for to, line in (
        ("mine", "holds other things than an export, choose another folder with --to"),
        ("mine/README.md", "is a file, choose a folder with --to"),
        ("mine/README.md/below", "cannot be written: "),
    ):
        cases.append(Case(f"export --to {to}", "trained", f"{export} --to {{root}}/{to}", line, mine))
    return cases


def parities() -> list[Case]:
    """``genas parity`` of a folder of anybody's."""
    call, line = "genas parity {root}/official", r"cases\.json: not a readable list of cases"

    def official(content: str) -> Spoil:
        return write("official/cases.json", content)

    def pickled(place: Place) -> None:
        torch.save({"state_dict": Bomb(place.ran)}, place.root / "official/init.safetensors")

    cases = [
        Case(f"parity: {short(text[:30])}", "plain", call, line, official(text))
        for text in table_of(test_odd_cases_are_one_line)
    ]
    shape = official(json.dumps(SHAPE))
    text = each(shape, write("official/init.safetensors", b"text"))
    return [
        *cases,
        Case("parity: no checkpoint", "plain", call, r"init\.safetensors: no such checkpoint", shape),
        Case("parity: a pickle", "plain", call, r"init\.safetensors: not a readable checkpoint", each(shape, pickled)),
        Case("parity: text", "plain", call, r"init\.safetensors: not a readable checkpoint", text),
    ]


CASES = {
    "what rows have left: results, report, tracking": [*broken(), *right()],
    "export and parity": [*exports(), *parities()],
}
