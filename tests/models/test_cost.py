"""Parameters and multiply-adds, against the official counter and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models.cost import Cost, count_macs, imagenet_cost, network_cost
from models.genotype import Genotype, random_genotype
from models.network import GenasNetwork
from models.zoo import zoo_genotype

OFFICIAL = {
    # row: (width, parameters, multiply-adds by the official counter, the same without its last rounding)
    "genas_flatness_c100": (46, 5_195_205, 580_209_216, 580_208_040),
    "darts_v2_c10": (48, 4_718_752, 530_678_560, 530_678_552),
}
"""retrain_architecture/thop on 1x3x224x224, 14 cells, 1000 classes."""


@pytest.mark.parametrize("row", OFFICIAL)
def test_published_cells_cost_what_the_official_counter_says(row: str) -> None:
    width, params, official, macs = OFFICIAL[row]
    cost = network_cost(zoo_genotype(row), 224, width=width, layers=14, num_classes=1000)
    assert cost == Cost(params, macs)
    assert cost.macs == pytest.approx(official, rel=1e-4)


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


@pytest.mark.parametrize("seed", range(5))
def test_the_cost_of_a_candidate_is_that_of_its_network(seed: int) -> None:
    genotype = random_genotype(np.random.default_rng(seed))
    assert imagenet_cost(genotype) == network_cost(genotype, 224, width=48, layers=14)
