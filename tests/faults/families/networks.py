"""Network files and genotypes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from safetensors import safe_open

from genas.models.networks.files.checkpoint import load_network
from genas.models.spaces.base.weights import save_weights
from tests.bomb import Bomb
from tests.faults.families.parameters import escape
from tests.faults.families.tables import cut, gone, short, table_of, write
from tests.faults.judging import Case, Place, Spoil
from tests.models.networks.files import test_checkpoint
from tests.models.spaces import test_genotype

WEIGHTS = "out/retrain/published/weights.safetensors"
SHIFT, EXPORT = "pipeline shift row=published", "genas export published --profile {root}"
CELL = "out/search/small-flatness-0/genotype.json"
WIDTH, RETRAIN = "genas width {root}/out/search/small-flatness-0/genotype.json --macs 6e8", "pipeline retrain row=found"
NO_NETWORK = r"weights\.safetensors: not a network file of this project \("


def tensors(**changed: torch.Tensor | None) -> Spoil:
    """Tensors of the file changed or dropped, its header kept."""
    return lambda place: test_checkpoint.rewrite(place.root / WEIGHTS, **changed)


def header(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """The header of the file after a change."""

    def spoil(place: Place) -> None:
        path = place.root / WEIGHTS
        with safe_open(str(path), framework="pt") as file:
            content = json.loads(file.metadata()["genas"])
        change(content)
        raw(json.dumps(content))(place)

    return spoil


def raw(text: str) -> Spoil:
    """Any text for a header."""

    def spoil(place: Place) -> None:
        save_weights(place.root / WEIGHTS, load_network(place.root / WEIGHTS), {"genas": text})

    return spoil


def pickled(place: Place) -> None:
    """A pickle that does something in the place of the file."""
    torch.save({"state_dict": Bomb(place.ran)}, place.root / WEIGHTS)


def files() -> list[Case]:
    """Each by the stage that reads it, or by the export."""
    cases = [
        Case(f"header: {short(line)}", "trained", (SHIFT, EXPORT)[i % 2], escape(line), header(change))
        for i, (change, line) in enumerate(table_of(test_checkpoint.test_a_header_that_asks_for_more_is_one_line))
    ]
    for i, text in enumerate(table_of(test_checkpoint.test_odd_json_is_one_line)):
        cases.append(Case(f"header: {short(text[:20])}", "trained", (SHIFT, EXPORT)[i % 2], NO_NETWORK, raw(text)))
    name = "classifier.bias"
    for i, (value, line) in enumerate((
        (torch.tensor([0.0, torch.nan, 0.0]), "has values that are not finite"),
        (torch.tensor([0.0, -torch.inf, 0.0]), "has values that are not finite"),
        (torch.zeros(3, dtype=torch.float16), "has type torch.float16, expected torch.float32"),
        (torch.zeros(3, dtype=torch.float64), "has type torch.float64, expected torch.float32"),
        (torch.zeros(3, dtype=torch.int32), "has type torch.int32, expected torch.float32"),
        (torch.zeros(9), r"has shape \(9,\), expected \(3,\)"),
        (None, "is missing"),
    )):  # fmt: skip
        line = rf"weights\.safetensors: classifier\.bias {line}"
        cases.append(Case(f"tensor: {line[22:]}", "trained", (SHIFT, EXPORT)[i % 2], line, tensors(**{name: value})))
    more = tensors(**{"neck.weight": torch.zeros(1)})
    huge = header(lambda content: content["architecture"].update(width=4096))
    cases += [
        Case("a tensor too many", "trained", SHIFT, r"neck\.weight is not in the network", more),
        Case("cut by a byte", "trained", SHIFT, NO_NETWORK, cut(WEIGHTS, -1)),
        Case("cut in the header", "trained", EXPORT, NO_NETWORK, cut(WEIGHTS, 100)),
        Case("cut in the middle", "trained", SHIFT, NO_NETWORK, cut(WEIGHTS, 10_000)),
        Case("empty", "trained", EXPORT, NO_NETWORK, write(WEIGHTS, b"")),
        Case("a pickle", "trained", SHIFT, NO_NETWORK, pickled),
        Case("a pickle, exported", "trained", EXPORT, NO_NETWORK, pickled),
        Case("missing", "trained", SHIFT, "no such weights file", gone(WEIGHTS)),
        Case("a network larger than its file", "trained", SHIFT, r"a network of width 4096, expected 2", huge),
        Case("as it was left", "trained", SHIFT, None),
        Case("as it was left, exported", "trained", EXPORT, None),
    ]
    return cases


def genotypes() -> list[Case]:
    """Each by a command, or by the stage that retrains."""
    cases = []
    reduce = test_genotype.chain()
    for i, (cell, line) in enumerate(table_of(test_genotype.test_a_wrong_cell_is_refused_in_one_line)):
        spoil = write(CELL, json.dumps({"normal": cell, "reduce": reduce}))
        cases.append(
            Case(f"cell: {short(line)}", "genotypes", (WIDTH, RETRAIN)[i % 2], f"genotype.json: .*{line}", spoil)
        )
    for i, (content, line) in enumerate(table_of(test_genotype.test_a_wrong_file_is_named)):
        spoil = gone(CELL) if content is None else write(CELL, content)
        cases.append(
            Case(f"file: {short(line)}", "genotypes", (WIDTH, RETRAIN)[i % 2], f"genotype.json: .*{line}", spoil)
        )
    for i, text in enumerate(table_of(test_genotype.test_odd_json_is_one_line)):
        call = (WIDTH, RETRAIN)[i % 2]
        cases.append(Case(f"odd: {short(text[:20])}", "genotypes", call, r"genotype\.json: ", write(CELL, text)))
    cases.append(Case("bytes", "genotypes", RETRAIN, r"genotype\.json: not JSON", write(CELL, b"\xff\xfe\x00")))
    third = json.dumps({"normal": reduce, "reduce": [*reduce, ["sep_conv_3x3", 2, 4]]})
    cases.append(Case("three inputs of a node", "genotypes", WIDTH, None, write(CELL, third)))
    cases.append(Case("more keys", "genotypes", WIDTH, None, write(CELL, json.dumps(
        {"normal": reduce, "reduce": reduce, "source": "a paper", "note": [1, {"a": None}]}))))  # fmt: skip
    return cases


CASES = {"network files": files(), "genotypes": genotypes()}
