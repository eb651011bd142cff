"""Parameters and multiply-adds, against the official counter and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genas.models.errors import GenasError
from genas.models.networks.published import zoo_genotype
from genas.models.spaces.base.cost import Cost
from genas.models.spaces.base.counting import count_macs
from genas.models.spaces.darts.cost import fit_width, network_cost, official_cost
from genas.models.spaces.darts.genotype import Genotype, random_genotype
from genas.models.spaces.darts.network import GenasNetwork

EXACT = {"genas_flatness_c100": (46, 580_208_040, 580_209_216), "darts_v2_c10": (48, 530_678_552, 530_678_560)}
"""Width, multiply-adds, and what the official counter prints for them (224 pixels, 14 cells, 1000 classes)."""


@pytest.mark.parametrize("row", EXACT)
def test_the_official_counter_rounds_a_little(row: str) -> None:
    width, macs, printed = EXACT[row]
    genotype = zoo_genotype(row)
    cost = network_cost(genotype, 224, width=width, layers=14, num_classes=1000)
    assert cost.macs == macs
    assert official_cost(genotype, 224, width=width, layers=14, num_classes=1000) == cost._replace(macs=printed)


@pytest.mark.parametrize(("row", "width"), [("genas_flatness_c10", 52), ("genas_angle_flatness_c10", 44)])
def test_the_fitted_width_is_that_of_the_official_commands(row: str, width: int) -> None:
    assert fit_width(zoo_genotype(row), macs=6e8) == width


@given(
    width=st.integers(1, 40).map(lambda half: 2 * half), layers=st.integers(3, 8), which=st.sampled_from(Cost._fields)
)
@settings(max_examples=4, deadline=None)
def test_a_network_is_fitted_to_its_own_cost_and_to_the_nearer_of_two(width: int, layers: int, which: str) -> None:
    genotype, shape = zoo_genotype("fairdarts_b_c10"), {"layers": layers, "num_classes": 10}
    costs = [getattr(network_cost(genotype, 64, width=w, **shape), which) for w in (width, width + 2)]
    middle = sum(costs) / 2
    for budget, expected in ((costs[0], width), (middle - 1, width), (middle + 1, width + 2)):
        assert fit_width(genotype, **{which: budget}, size=64, **shape) == expected


def test_impossible_budgets_are_refused() -> None:
    genotype = zoo_genotype("darts_v2_c10")
    with pytest.raises(GenasError, match="one budget: macs or params"):
        fit_width(genotype)
    with pytest.raises(GenasError, match="no width from 2 to 1024 comes near 10 params, they give "):
        fit_width(genotype, params=10)


def test_a_convolution_and_a_linear_layer_by_hand() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32, 10)
    )
    convolution = 4 * 4 * 8 * 3 * 3 * 3
    linear = 10 * (2 * 32 - 1)
    assert count_macs(model, (8, 8)) == convolution + linear
    assert count_macs(model[:3], (8, 6)) == 4 * 3 * 8 * 3 * 3 * 3


def test_grouped_and_dilated_convolutions_count_their_own_weights() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), nn.Conv2d(4, 6, 1))
    assert count_macs(model, (5, 5), in_chans=4) == 25 * (4 * 9 + 4 * 6)


def test_counting_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_macs(model, (4, 4))
    assert model.training
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    count_macs(model.eval(), (4, 4))
    assert not model.training


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_an_auxiliary_head_costs_nothing(stem: str) -> None:
    genotype: Genotype = zoo_genotype("darts_v2_c10")
    shape = {"width": 4, "layers": 5, "stem": stem, "num_classes": 10}
    cost = network_cost(genotype, 32, **shape)
    assert network_cost(genotype, 32, auxiliary=True, **shape) == cost
    network = GenasNetwork(genotype, **shape)
    assert cost.params == sum(parameter.numel() for parameter in network.parameters())
    assert cost.macs == count_macs(network, (32, 32))
    assert cost.macs == count_macs(GenasNetwork(genotype, auxiliary=True, **shape), (32, 32))


def test_a_network_without_classifier_has_no_linear_part() -> None:
    genotype = zoo_genotype("darts_v2_c10")
    whole = network_cost(genotype, 64, width=4, layers=5, num_classes=10)
    features = network_cost(genotype, 64, width=4, layers=5, num_classes=0)
    assert whole.macs - features.macs == 10 * (2 * 64 - 1)
    assert whole.params - features.params == 10 * 64 + 10


@given(
    seed=st.integers(0, 10**6),
    size=st.integers(33, 70),
    width=st.sampled_from([2, 6, 16]),
    layers=st.integers(3, 7),
    stem=st.sampled_from(["imagenet", "cifar"]),
)
@settings(max_examples=8, deadline=None)
def test_arithmetic_counts_what_the_network_does(seed: int, size: int, width: int, layers: int, stem: str) -> None:
    genotype = random_genotype(np.random.default_rng(seed))
    shape = {"width": width, "layers": layers, "stem": stem, "num_classes": 7, "in_chans": 1 + seed % 3}
    with torch.device("meta"):
        network = GenasNetwork(genotype, **shape)
        macs = count_macs(network, (size, size), shape["in_chans"])
    assert network_cost(genotype, size, **shape) == (sum(p.numel() for p in network.parameters()), macs)


def test_there_is_no_cost_of_a_network_that_cannot_be() -> None:
    genotype = zoo_genotype("darts_v2_c10")
    for shape, message in (({"width": 3}, "width 3"), ({"layers": 2}, "2 layers"), ({"stem": "x"}, "unknown stem 'x'")):
        with pytest.raises(GenasError, match=message):
            network_cost(genotype, **shape)
