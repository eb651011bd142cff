"""The NAS-Bench-201 space: its strings, graphs and costs against the benchmark's, and what a path computes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.fast.folded import Folded, Moments, calibrate, run_path
from genas.models.spaces.base.counting import count_macs
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.nasbench201.cell import EDGES, OPERATIONS, Cell201, all_cells, random_cell
from genas.models.spaces.nasbench201.cost import nasbench201_cost
from genas.models.spaces.nasbench201.network import NasBench201, SearchCell
from genas.pipeline.config import data_root
from tests.models.fast.test_folded import images, recalibrated, weights, worn

TABLE = data_root() / "nasbench201" / "nasbench201.parquet"
needed = pytest.mark.skipif(not TABLE.exists(), reason=f"{TABLE} is missing (GENAS_DATA sets the data root)")
cells = st.tuples(*[st.sampled_from(OPERATIONS)] * len(EDGES)).map(Cell201)


def supernet(channels: int = 4, cells: int = 1) -> NasBench201:
    torch.manual_seed(0)
    return worn(NasBench201(5, channels, cells))


def everywhere(operation: str) -> Cell201:
    return Cell201((operation,) * len(EDGES))


# ---- the space ------------------------------------------------------------------------------------------------------


def test_the_space_has_15625_architectures_of_6466_graphs() -> None:
    found = list(all_cells())
    assert len(set(found)) == 5**6 == 15625
    assert len({cell.graph for cell in found}) == 6466


@given(cells)
def test_strings_go_in_and_out(cell: Cell201) -> None:
    assert Cell201.parse(str(cell)) == cell


def test_the_string_is_the_benchmarks() -> None:
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    cell = Cell201.parse(text)
    assert cell.edges[0] == Edge("avg_pool_3x3", 0, 1)
    assert cell.edges[-1] == Edge("skip_connect", 2, 3)
    assert str(cell) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("|none~0|", "has 6 operations, got 1"),
        ("|max_pool~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation 'max_pool'"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "is no architecture string"),
        ("none~0+none~0|none~1+none~0|none~1|none~2", "is no architecture string"),
    ],
)
def test_wrong_strings_are_refused(text: str, message: str) -> None:
    with pytest.raises(GenasError, match=message.replace("|", r"\|")):
        Cell201.parse(text)


def test_graphs_are_equal_where_skips_make_them_so() -> None:
    """A convolution behind a skip connection is one from the input; order within a sum does not count."""
    direct = Cell201.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    behind = Cell201.parse("|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|")
    other = Cell201.parse("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|")
    assert direct.graph == behind.graph != other.graph


@needed
@pytest.mark.parametrize(
    ("operations", "depth"),
    [
        # 0->1, 0->2, 1->2, 0->3, 1->3, 2->3
        ("nor_conv_3x3 none nor_conv_1x1 none none nor_conv_3x3", 3),
        ("nor_conv_3x3 none nor_conv_1x1 none skip_connect none", 1),  # node 2 leads nowhere
        ("none nor_conv_3x3 nor_conv_3x3 skip_connect nor_conv_3x3 nor_conv_3x3", 2),  # nothing reaches node 1
        ("avg_pool_3x3 none skip_connect none none nor_conv_1x1", 1),
        ("none none nor_conv_3x3 none nor_conv_3x3 nor_conv_3x3", 0),
        ("skip_connect skip_connect skip_connect skip_connect skip_connect skip_connect", 0),
    ],
)
def test_depth_counts_convolutions_on_live_paths(operations: str, depth: int) -> None:
    assert Cell201(tuple(operations.split())).depth == depth


def test_parameters_and_multiply_adds_are_the_benchmarks_for_all() -> None:
    table = pd.read_parquet(TABLE)
    found = [Cell201.parse(text) for text in table["arch_str"]]
    assert set(found) == set(all_cells())
    for name, classes, size in (("cifar10", 10, 32), ("cifar100", 100, 32), ("imagenet16_120", 120, 16)):
        costs = np.array([nasbench201_cost(cell, classes, size) for cell in found])
        assert (costs[:, 0] == np.round(table[f"params_M_{name}"] * 1e6)).all()
        assert (costs[:, 1] == np.round(table[f"flops_M_{name}"] * 1e6)).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_network_has_the_cost_that_is_counted_for_it(seed: int) -> None:
    cell = random_cell(np.random.default_rng(seed))
    with torch.device("meta"):
        network = NasBench201(10, cell=cell)
    cost = network.reference_cost(cell)
    assert sum(parameter.numel() for parameter in network.parameters()) == cost.params
    # The other counter takes 2 in - 1 for a linear output, the benchmark in + 1.
    assert count_macs(network, (32, 32)) - 10 * (2 * 64 - 1) == cost.macs - 10 * (64 + 1)


# ---- what a path computes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_path_computes_what_its_own_network_does(seed: int) -> None:
    whole, cell = supernet(cells=2).eval(), random_cell(np.random.default_rng(seed))
    alone = NasBench201(5, 4, 2, cell=cell).eval()
    state = whole.state_dict()
    alone.load_state_dict({name: state[name] for name in alone.state_dict()})
    assert torch.equal(whole(images(), cell), alone(images()))


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_of_one_path_computes_what_the_supernet_does(seed: int) -> None:
    whole, cell = supernet(), random_cell(np.random.default_rng(seed))
    alone = whole.only(cell)
    assert alone(images(), cell).equal(whole(images(), cell))
    assert sum(p.numel() for p in alone.parameters()) < sum(p.numel() for p in whole.parameters())


def test_a_cell_by_hand() -> None:
    """Node 1 is the input, node 2 the sum of two, node 3 four times it; nothing reaches it without edges."""
    x = images()
    cell = SearchCell(3, None, affine=True)
    skips = everywhere("skip_connect").edges
    torch.testing.assert_close(cell(x, skips), 4 * x)
    assert cell(x, ()).equal(torch.zeros_like(x))
    # An operation on what nothing reached still has its BatchNorm's say.
    bias = cell.edges["1->3"]["nor_conv_1x1"][2].bias.data.fill_(0.5)
    lonely = Cell201.parse("|none~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|")
    torch.testing.assert_close(cell.eval()(x, lonely.edges), torch.full_like(x, float(bias[0])))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_only_what_a_path_names_has_gradients(operation: str) -> None:
    network, cell = supernet(), everywhere(operation)
    network(images(), cell).sum().backward()
    touched = {id(p) for p in network.parameters() if p.grad is not None}
    own = {id(p) for module in network.path_modules(cell) for p in module.parameters()}
    # Where nothing reaches the output, nothing before it has a gradient.
    assert touched < own if operation == "none" else touched == own


@pytest.mark.parametrize(
    "cell", [*map(everywhere, OPERATIONS), *(random_cell(np.random.default_rng(seed)) for seed in range(6))], ids=str
)
def test_the_fast_path_computes_what_the_plain_one_does(cell: Cell201) -> None:
    network, batches = supernet(), images().split(10)
    statistics = calibrate(network, cell, weights(network), batches, 0.1)
    recalibrated(network, cell, batches, 0.1)
    for name, module in network.named_modules():
        if name in statistics:
            expected = Moments(module.running_mean, module.running_var)
            torch.testing.assert_close(statistics[name], expected, rtol=1e-4, atol=1e-5)
    fast = run_path(network, cell, images(), Folded(weights(network), statistics, torch.float32))
    torch.testing.assert_close(fast, network(images(), cell), rtol=1e-4, atol=1e-5)


# ---- the weight vector ----------------------------------------------------------------------------------------------


def walks(cell: Cell201) -> list[list[Edge]]:
    """Every path of edges from node 0 to node 3."""
    by_pair = {(edge.source, edge.target): edge for edge in cell.edges}
    ways = [(0, *itertools.compress((1, 2), through), 3) for through in itertools.product((0, 1), repeat=2)]
    pairs = [list(itertools.pairwise(nodes)) for nodes in ways]
    return [[by_pair[pair] for pair in walk] for walk in pairs if set(walk) <= set(by_pair)]


def norm(*tensors: Tensor) -> float:
    return sum(float(tensor.detach().double().square().sum()) for tensor in tensors)


@pytest.mark.parametrize("seed", range(12))
def test_the_weight_vector_has_every_path_from_input_to_output(seed: int) -> None:
    network, cell = supernet(cells=2), random_cell(np.random.default_rng(seed))
    counted = sum(count * float(weights @ weights) for count, weights in network.weighted_vectors(cell))
    once = [network.stem, network.head, network.classifier]
    once += [part for part in network.cells if not isinstance(part, SearchCell)]
    total = norm(*(p for module in once for p in module.parameters()))
    for part in network.cells:
        if isinstance(part, SearchCell):
            for edge in itertools.chain.from_iterable(walks(cell)):
                if "conv" in edge.operation:
                    total += norm(part.operation(edge)[1].weight)
                if edge.operation == "avg_pool_3x3":
                    total += 9 * part.channels / 81
    assert math.isclose(counted, total if walks(cell) else 0, rel_tol=1e-9)


def test_an_architecture_without_a_path_has_no_vector() -> None:
    dead = Cell201.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|")
    assert list(supernet().weighted_vectors(dead)) == []
