"""The table of NAS-Bench-301: its architectures, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genas.models.errors import GenasError
from genas.models.spaces.darts.cost import network_cost
from genas.models.spaces.darts.genotype import NODES, Genotype, random_genotype
from genas.pipeline.config import data_root
from genas.pipeline.nasbench301.benchmark import genotype_of, load_benchmark
from tests.pipeline.laboratory.tables import require_refused

TABLE = data_root() / "nasbench301" / "nasbench301.parquet"
needed = pytest.mark.skipif(not TABLE.exists(), reason=f"{TABLE} is missing (GENAS_DATA sets the data root)")


def text_of(genotype: Genotype) -> str:
    """As the benchmark writes it."""
    cells = {
        name: [[edge.operation, edge.source] for node in NODES for edge in cell if edge.target == node]
        for name, cell in (("normal", genotype.normal), ("reduce", genotype.reduce))
    }
    return json.dumps(cells)


def write_benchmark(path: Path, count: int = 12) -> pd.DataFrame:
    """A table of the benchmark's form, with random accuracies."""
    rng, found = np.random.default_rng(3), dict[Genotype, None]()
    while len(found) < count:
        found[random_genotype(rng)] = None
    table = pd.DataFrame({"genotype": [text_of(genotype) for genotype in found]})
    table["accuracy"], table["nwot"] = rng.uniform(90, 95, count), rng.normal(size=count)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path)
    return table


def test_an_architecture_by_hand() -> None:
    normal = [["skip_connect", 0], ["sep_conv_3x3", 1], ["max_pool_3x3", 2], ["sep_conv_5x5", 0]]
    normal += [["dil_conv_3x3", 3], ["avg_pool_3x3", 1], ["dil_conv_5x5", 4], ["skip_connect", 2]]
    genotype = genotype_of(json.dumps({"normal": normal, "reduce": normal}))
    assert genotype.normal == genotype.reduce
    assert [tuple(edge) for edge in genotype.normal] == [
        ("skip_connect", 0, 2),
        ("sep_conv_3x3", 1, 2),
        ("sep_conv_5x5", 0, 3),
        ("max_pool_3x3", 2, 3),
        ("avg_pool_3x3", 1, 4),
        ("dil_conv_3x3", 3, 4),
        ("skip_connect", 2, 5),
        ("dil_conv_5x5", 4, 5),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_architectures_go_out_and_in(seed: int) -> None:
    genotype = random_genotype(np.random.default_rng(seed))
    assert genotype_of(text_of(genotype)) == genotype
    assert Genotype.parse(str(genotype)) == genotype


@needed
def test_the_real_table_is_read_and_its_parameters_are_those_of_our_networks() -> None:
    """Its networks have 8 cells of 32 channels; the classifiers differ a little."""
    table = load_benchmark(TABLE)
    assert len(table) == 800
    genotypes = [Genotype.parse(text) for text in table.index]
    ours = [network_cost(one, 32, width=32, layers=8, num_classes=10, stem="cifar").params / 1e6 for one in genotypes]
    assert table["params_M"].to_numpy() == pytest.approx(np.array(ours), rel=0.02)


EDGE = ["skip_connect", 0]


def first(text: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The first architecture replaced."""
    return lambda table: table.assign(genotype=[text, *table["genotype"][1:]])


def accuracy(value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The first accuracy replaced."""
    return lambda table: table.assign(accuracy=pd.Series([value, *table["accuracy"][1:]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="accuracy"), "column accuracy is missing"),
        (lambda t: t.drop(columns="genotype"), "column genotype is missing"),
        (first("nothing"), "row 0: 'nothing' is no JSON"),
        (first(None), " is no architecture"),
        (first("[" * 20_000), "is no architecture"),
        (first("[" * 9_000), "is no JSON"),
        (first("[]"), "row 0: normal: expected 8 pairs [operation, input]"),
        (first(json.dumps({"normal": [EDGE] * 7})), "row 0: normal: expected 8 pairs [operation, input]"),
        (first(json.dumps({"normal": [EDGE] * 8, "reduce": [EDGE] * 8})), "row 0: normal cell: edge 0->2 is given twi"),
        (first(json.dumps({"normal": [["conv", 0]] * 8, "reduce": [EDGE] * 8})), "unknown operation 'conv'"),
        (first(json.dumps({"normal": [["skip_connect", True]] * 8, "reduce": []})), "expected 8 pairs"),
        (lambda t: t.assign(genotype=[t["genotype"][1], *t["genotype"][1:]]), "row 1: the architecture of row 0 again"),
        (accuracy(0.93), "row 0: accuracy is 0.93, expected 1 to 100 (percent)"),
        (accuracy(float("nan")), "row 0: accuracy is nan, expected 1 to 100 (percent)"),
        (accuracy(940.0), "row 0: accuracy is 940.0, expected 1 to 100 (percent)"),
        (lambda t: t.assign(accuracy="high"), "row 0: accuracy is 'high', expected 1 to 100 (percent)"),
    ],
)
def test_a_wrong_table_is_one_line(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    path = tmp_path / "table.parquet"
    require_refused(change(write_benchmark(path)), load_benchmark, path, message)


def test_no_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match=r"table\.parquet: the benchmark's table is missing"):
        load_benchmark(tmp_path / "table.parquet")
    (tmp_path / "table.parquet").write_bytes(b"no table")
    with pytest.raises(GenasError, match=r"table\.parquet: no parquet file"):
        load_benchmark(tmp_path / "table.parquet")
