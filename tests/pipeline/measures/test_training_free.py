"""Measures that ask for no training against cases worked by hand; the sweeps are in
``tests/pipeline/probe/test_zero_cost.py``."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genas.models.fast.gradients import quicken
from genas.models.spaces.base.oneshot import OneShot
from genas.models.spaces.nasbench201.cell import random_cell
from genas.pipeline import measures
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.measures.expressivity import entropy
from genas.pipeline.measures.trainability import evenness, gain, through
from genas.pipeline.measures.vkdnw import evenness as spectrum
from genas.pipeline.measures.vkdnw import fisher, jacobian
from genas.pipeline.measures.zico import steadiness
from genas.pipeline.probe.plain import BatchNorm, Probe
from tests.pipeline.measures.test_measures import PARAMS, path
from tests.pipeline.measures.test_measures import probe as darts_probe
from tests.pipeline.probe.test_zero_cost import Line, space
from tests.pipeline.probe.test_zero_cost import data as drawn


def sets(*images: list[float], label: int = 0) -> SearchData:
    """Images of 2x2 pixels, each given by its channels, constant, or by its four pixels of one channel."""
    given = torch.tensor(images, dtype=torch.float32)
    pixels = given.view(-1, 1, 2, 2) if given.shape[1] == 4 else given[:, :, None, None].expand(-1, -1, 2, 2).clone()
    labels = torch.full((len(images),), label)
    return SearchData(pixels, labels, pixels, labels, 3)


def taken(name: str, network: OneShot[Any], data: SearchData) -> dict[str, float]:
    return measures.measure(name, Probe(network, data, PARAMS, 0, network), None)


class Blocks(OneShot[None]):
    """A stem and cells in a row."""

    def __init__(self, stem: nn.Module, *cells: nn.Module) -> None:
        super().__init__()
        self.stem, self.cells = stem, nn.ModuleList(cells)

    def forward(self, x: Tensor, path: None) -> Tensor:
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x)
        return x.mean((2, 3))

    def path_modules(self, path: None) -> list[nn.Module]:
        return [self.stem, self.cells]

    def weighted_vectors(self, path: None) -> Any:
        raise NotImplementedError

    def reference_cost(self, path: None) -> Any:
        raise NotImplementedError


def mixing(*weight: list[float]) -> nn.Conv2d:
    """A 1x1 convolution with this matrix."""
    made = nn.Conv2d(len(weight[0]), len(weight), 1, bias=False)
    made.weight.data = torch.tensor(weight, dtype=torch.float32)[:, :, None, None]
    return made


def test_jacov_by_hand() -> None:
    """Gradients by the channels are (1, 0, -1) and, with the other ReLUs off, (1, 0, 0): their correlation is the root
    of 3/4, and the eigenvalues are 1 more and less."""
    network = Line([[1.0, 0.0, -1.0], [0.0] * 3, [0.0] * 3])
    values = [1 + math.sqrt(0.75) + 1e-5, 1 - math.sqrt(0.75) + 1e-5]
    expected = -sum(math.log(value) + 1 / value for value in values)
    assert taken("jacov", network, sets([1, 1, 1], [1, -1, -1])) == {"jacov": pytest.approx(expected, rel=1e-5)}
    alike = -(math.log(2) + 1 / 2 + math.log(1e-5) + 1e5)
    assert taken("jacov", network, sets([-1, -1, -1], [-2, -1, -1]))["jacov"] == pytest.approx(alike, rel=1e-5)


def test_jacov_is_the_same_whoever_computes_gradients() -> None:
    """A DARTS supernet ends with BatchNorm: through the batch's statistics nothing but rounding would be left."""
    plain, quick = darts_probe(), darts_probe()
    quick.initial = quicken(deepcopy(quick.initial))
    for name in ("jacov", "vkdnw"):
        one, two = (measures.measure(name, probe, path(0))[name] for probe in (plain, quick))
        assert one == pytest.approx(two, rel=1e-4)


def test_zico_by_hand() -> None:
    gradients = [torch.tensor([1.0, 4.0, 5.0]), torch.tensor([3.0, -4.0, 5.0])]  # 2 / 1 + 4 / 4, and one that is still
    assert steadiness(gradients) == pytest.approx(math.log(3))
    assert steadiness([gradients[0]] * 2) == 0
    # Of zero weights the gradient by w_ck is (1/3 - [c is the class]) x_k: of x and 3x its mean is twice its deviation.
    assert taken("zico", Line([[0.0] * 3] * 3), sets([1, 1, 1], [3, 3, 3]))["zico"] == pytest.approx(math.log(18))


def test_expressivity_and_progressivity_by_hand() -> None:
    """Two channels that have nothing in common have ln 2, of two that say the same one is left."""
    apart = torch.tensor([[[1.0, -1, 1, -1], [1, 1, -1, -1]]]).view(1, 2, 2, 2)
    assert entropy(apart) == pytest.approx(math.log(2), abs=1e-6)
    assert entropy(apart * torch.tensor([3.0, 1.0]).view(1, 2, 1, 1)) == pytest.approx(
        -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)), abs=1e-6
    )
    assert entropy(torch.ones(2, 3, 4, 4)) == pytest.approx(0, abs=1e-6)
    network = Blocks(nn.Identity(), mixing([1, 0], [0, 1]), mixing([1, 0], [1, 0]))
    seen = taken("expressivity", network, SearchData(apart, torch.zeros(1), apart, torch.zeros(1), 2))
    assert seen["expressivity"] == pytest.approx(2 * math.log(2), abs=1e-6)
    assert seen["progressivity"] == pytest.approx(-math.log(2), abs=1e-6)


def test_trainability_by_hand() -> None:
    assert [evenness(value) for value in (1.0, 2.0, 0.5)] == pytest.approx([0, -0.5, -0.5], abs=1e-5)
    signs = torch.tensor([[1.0, -1, 1, -1], [1, 1, -1, -1]]).view(1, 2, 2, 2)
    assert gain(2 * signs, signs) == pytest.approx(2)
    assert gain(signs, signs) == 0
    image = torch.randn(3, 1, 4, 4).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    assert through(image, 3 * image, generator) == pytest.approx(3)
    halved = 4 * nn.functional.avg_pool2d(image, 2)
    assert through(image, halved, generator) == pytest.approx(2), "four pixels get the same sign"
    assert through(image, torch.zeros_like(image), generator) == 0
    network = Blocks(mixing([1.0]), mixing([3.0]), mixing([1.0]))  # gains 3, and 0 of what hands on what it gets
    expected = (2 - 3 - 1 / 3 + 2 - 1e6) / 2
    assert taken("trainability", network, sets([1, 2, 3, 4]))["trainability"] == pytest.approx(expected)


def test_swap_by_hand() -> None:
    """Four units see two images as (on, on), (on, off), (off, off) and (on, on): three patterns."""
    data = sets([1.0, 1, -1, 2], [1.0, -1, -1, 3])
    assert taken("swap", Blocks(nn.ReLU()), data) == {"swap": 3}
    assert taken("swap", Line([[1.0] * 3] * 3), sets([1, 1, 1])) == {"swap": 0}, "it has no maps"


def test_vkdnw_by_hand() -> None:
    # One image, two classes of equal chance, derivatives 1 and -1: the variance of +-1 is 1.
    assert fisher(torch.tensor([[[1.0], [-1.0]]]), torch.zeros(1, 2)).tolist() == [[1.0]]
    assert spectrum(torch.eye(10, dtype=torch.float64)) == pytest.approx(math.log(9))
    assert spectrum(torch.diag(torch.tensor([0.0] * 18 + [1.0]))) == 0, "the deciles are 0"
    # Of two eigenvalues 0 and 1 the deciles are 0.1 to 0.9.
    shares = np.arange(1, 10) / 45
    assert spectrum(torch.diag(torch.tensor([0.0, 1.0]))) == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-6)
    seen = taken("vkdnw", Line([[0.0] * 3] * 3), sets([1, 1, 1], [2, 1, 1]))
    assert seen == {"vkdnw": pytest.approx(1 + math.log(9) / math.log(10)), "vkdnw_entropy": pytest.approx(math.log(9))}


def one_by_one(network: OneShot[Any], images: Tensor, architecture: Any) -> Tensor:
    """The Jacobian by the framework's gradients, an image after the other, (N, classes, tensors)."""
    network = deepcopy(network).eval()

    def fix(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, BatchNorm)
        norm.running_var, norm.running_mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)

    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    hooks = [norm.register_forward_pre_hook(fix) for norm in norms]
    with torch.no_grad():
        network(images, architecture)
    for hook in hooks:
        hook.remove()
    chosen = [p for module in network.path_modules(architecture) for p in module.parameters()]
    rows = []
    for image in images:
        for logit in network(image[None], architecture)[0]:
            gradients = torch.autograd.grad(logit, chosen, retain_graph=True, materialize_grads=True)
            rows.append(torch.stack([gradient.flatten()[0] for gradient in gradients]))
    return torch.stack(rows).view(len(images), -1, len(chosen)).double()


@pytest.mark.parametrize("darts", [True, False])
def test_the_jacobian_is_the_frameworks(darts: bool) -> None:
    if darts:
        network, images, architecture = darts_probe().initial, darts_probe().images[:4], path(1)
    else:
        network, images, architecture = space(), drawn(4).held_images, random_cell(np.random.default_rng(2))
    assert network is not None
    quick, _ = jacobian(network, images, architecture)
    slow = one_by_one(network, images, architecture)
    assert quick.shape == slow.shape
    spectra = [torch.linalg.eigvalsh((one.transpose(1, 2) @ one).sum(0)) for one in (quick, slow)]
    assert spectra[0].numpy() == pytest.approx(spectra[1].numpy(), rel=1e-4, abs=1e-4 * float(spectra[1].max()))
