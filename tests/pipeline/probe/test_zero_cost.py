"""Zero-cost measures against networks where they are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import OneShot
from genas.models.spaces.nasbench201.cell import Cell201, random_cell
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline import measures
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.probe.plain import Probe
from tests.pipeline.measures.test_measures import PARAMS
from tests.pipeline.measures.test_measures import path as darts_path
from tests.pipeline.measures.test_measures import probe as darts_probe

NAMES = (
    *("synflow", "trained_synflow", "snip", "grad_norm", "naswot"),
    *("jacov", "zico", "expressivity", "progressivity", "trainability", "vkdnw", "swap"),
)


def data(count: int = 8, size: int = 8) -> SearchData:
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(count, 3, size, size, generator=generator)
    labels = torch.randint(3, (count,), generator=generator)
    return SearchData(images, labels, images, labels, 3)


def probe(network: OneShot[Any], sets: SearchData | None = None) -> Probe:
    return Probe(network, sets or data(), PARAMS, 0, network)


def space() -> NasBench201:
    torch.manual_seed(0)
    return NasBench201(3, 4, 1)


class Line(OneShot[None]):
    """One linear layer on the mean of an image's channels, behind a ReLU that can be off."""

    def __init__(self, weight: list[list[float]], bias: float = 0.0) -> None:
        super().__init__()
        self.relu, self.classifier = nn.ReLU(), nn.Linear(3, 3, bias=False)
        self.classifier.weight.data = torch.tensor(weight)
        self.bias = bias

    def forward(self, x: Tensor, path: None) -> Tensor:
        return self.classifier(self.relu(x.mean((2, 3)) + self.bias))

    def path_modules(self, path: None) -> list[nn.Module]:
        return [self.relu, self.classifier]

    def weighted_vectors(self, path: None) -> Any:
        raise NotImplementedError

    def reference_cost(self, path: None) -> Any:
        raise NotImplementedError


def test_synflow_by_hand() -> None:
    """Of an image of ones the outputs sum to the sum of |w|, and so does w dR/dw."""
    weight = [[1.0, -2.0, 3.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.0]]
    taken = measures.measure("synflow", probe(Line(weight)), None)
    assert taken == {"synflow": pytest.approx(math.log1p(7.5))}
    one = probe(Line(weight))
    one.network = Line([[1.0, 0.0, 0.0]] * 3)
    assert measures.measure("trained_synflow", one, None) == {"trained_synflow": pytest.approx(math.log1p(3))}


def test_snip_and_the_gradients_norm_are_the_frameworks_gradients() -> None:
    network, cell = space(), random_cell(np.random.default_rng(1))
    one = probe(network)
    chosen = [m.weight for p in network.path_modules(cell) for m in p.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    loss = F.cross_entropy(network.train()(one.images, cell), one.labels)
    gradients = torch.autograd.grad(loss, chosen, materialize_grads=True)
    norm = sum(float(gradient.norm()) for gradient in gradients)
    product = sum(float((w.detach() * g).abs().sum()) for w, g in zip(chosen, gradients, strict=True))
    assert measures.measure("grad_norm", one, cell)["grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert measures.measure("snip", one, cell)["snip"] == pytest.approx(product, rel=1e-5)


def test_naswot_tells_images_apart_that_the_relus_do() -> None:
    """Two images coded alike: K has an eigenvalue that vanishes. Coded as opposites: K is diagonal."""
    apart = data(2)
    apart.held_images[0], apart.held_images[1] = 1.0, -1.0
    alike = apart._replace(held_images=apart.held_images.abs())
    network = Line([[1.0] * 3] * 3)
    assert measures.measure("naswot", probe(network, apart), None)["naswot"] == pytest.approx(2 * math.log(3))
    assert measures.measure("naswot", probe(network, alike), None)["naswot"] == pytest.approx(
        math.log(6) + math.log(1e-5), abs=1e-4
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_has_a_finite_value_and_none_disturbs_another(name: str) -> None:
    network = space()
    dead = Cell201(("none",) * 6)
    alive = [random_cell(np.random.default_rng(seed)) for seed in range(4)]
    first = {cell: measures.measure(name, probe(network), cell)[name] for cell in (dead, *alive)}
    for other in NAMES:
        measures.measure(other, probe(network), alive[0])
    assert {cell: measures.measure(name, probe(network), cell)[name] for cell in first} == first
    assert all(math.isfinite(value) for value in first.values())
    assert len(set(first.values())) > 2
    assert first[dead] == min(first.values())


@pytest.mark.parametrize("name", NAMES)
def test_they_know_the_darts_space_too(name: str) -> None:
    settings = PARAMS.model_copy(update={"zero_cost_images": 16})  # eight images have 256 patterns, and few units all
    values = {measures.measure(name, darts_probe(settings), darts_path(seed))[name] for seed in (0, 1)}
    assert len(values) == 2
