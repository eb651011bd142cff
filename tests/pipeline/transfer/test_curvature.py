"""Curvature (Figure 3): a network whose loss under noise is known, and one row from end to end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from genas.models.networks.files.checkpoint import Preprocessing, load_network
from genas.pipeline.config import CurvatureParams, data_root
from genas.pipeline.data.reading.images import pictures
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform
from genas.pipeline.probe.noise import standard_noise
from genas.pipeline.transfer import curvature
from tests.conftest import Tiny
from tests.networks import write_network

PIXELS = Preprocessing(32, (0.3,) * 3, (0.4,) * 3)
FILE = "out/retrain/found/weights.safetensors"


def params(**values: Any) -> CurvatureParams:
    made = {"sigma": [0, 1.0], "alpha": 1.0, "draws": 1, "seed": 0, "images": 100, "batch_size": 8}
    return CurvatureParams.model_construct(**made | values)


class Linear(nn.Module):
    """Two logits from one pixel, each its own weight times the pixel; both weights are 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) * self.weight


def lit(*pixels: float) -> Any:
    """Images of one pixel, all of the first class."""
    return TensorDataset(torch.tensor(pixels).reshape(-1, 1, 1, 1), torch.zeros(len(pixels), dtype=torch.long))


def test_the_loss_of_a_linear_network_under_noise_is_known() -> None:
    """Without noise both classes are as likely: log 2. With noise of deviation 1 the logits differ by N(0, 2), so that
    the mean loss is that of log(1 + e^z) over z ~ N(0, 2), here by quadrature."""
    values = curvature.curve(Linear(), lit(1.0), params(draws=2000))[..., 0]
    assert values[:, 0] == pytest.approx(math.log(2))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    expected = np.sum(weights * np.logaddexp(0, math.sqrt(2) * nodes)) / math.sqrt(2 * math.pi)
    error = values[:, 1].std() / math.sqrt(2000)
    assert abs(values[:, 1].mean() - expected) < 4 * error
    assert expected - math.log(2) > 10 * error, "a loss that did not rise would have been seen"


def test_all_weights_move_by_the_noise_of_eq_3_and_the_statistics_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    network[1].running_mean.uniform_()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    moved = curvature.perturbed(network, 0.1, seed=3, draw=1).state_dict()
    for name, value in before.items():
        noise = 0.1 * standard_noise(value.shape, 3, 1, name, 0.1) if name in dict(network.named_parameters()) else 0
        torch.testing.assert_close(moved[name], value + noise, rtol=0, atol=0)
        assert torch.equal(network.state_dict()[name], value), "the network itself stays"


def test_images_are_evenly_spaced() -> None:
    """Of pixels 0 to 8 the first, the middle and the last."""
    network = Linear()
    network.weight.data = torch.tensor([1.0, -1.0])
    loss = curvature.curve(network, lit(*range(9)), params(sigma=[0], images=3))[0, 0, 0]
    assert loss == pytest.approx(np.mean([np.log1p(np.exp(-2.0 * pixel)) for pixel in (0, 4, 8)]))


def test_a_table_has_means_and_deviations_over_draws() -> None:
    values = np.array([[[0.5, 80.0], [1.0, 60.0]], [[0.5, 80.0], [3.0, 50.0]]])
    found = curvature.table(values, params(sigma=[0, 0.01]))
    assert found.columns.tolist() == ["sigma", "loss", "loss_deviation", "top1", "top1_deviation"]
    assert found.iloc[0].tolist() == [0, 0.5, 0, 80, 0]
    assert found.iloc[1].tolist() == pytest.approx([0.01, 2, math.sqrt(2), 55, math.sqrt(50)])
    equal = curvature.table(np.full((3, 1, 2), 1.4739622453114662), params(sigma=[0]))
    assert equal.iloc[0].tolist() == [0, 1.4739622453114662, 0, 1.4739622453114662, 0], "to the last digit"
    assert curvature.table(values[:1], params(sigma=[0, 0.01]))["loss_deviation"].tolist() == [0, 0]


@pytest.fixture
def laid(tiny: Tiny) -> Tiny:
    """A tiny profile with a network to perturb."""
    write_network(tiny.root / FILE, PIXELS, 3, worn=True, classes=("zero", "one", "two"))
    return tiny


def test_a_row_from_end_to_end(laid: Tiny) -> None:
    context = laid.context("curvature", row="found")
    metrics = curvature.run(context)
    first = laid.bytes_of("curvature", "found", "curve.csv")
    assert curvature.run(context) == metrics
    assert laid.bytes_of("curvature", "found", "curve.csv") == first
    assert [path.name for path in context.out.iterdir()] == ["curve.csv"]

    found = pd.read_csv(context.out / "curve.csv")
    assert found["sigma"].tolist() == [0, 0.01, 0.02]
    assert metrics["loss"] == found["loss"][0]
    assert metrics["top1"] == found["top1"][0]
    assert metrics["loss_rise"] == found["loss"][2] - found["loss"][0]
    assert (found["loss_deviation"][1:] > 0).all()

    root = data_root() / "small"
    val = pictures(root, "parquet", "val")
    val.transform = evaluation_transform(PIXELS)
    images = [val[i] for i in np.linspace(0, 29, 20, dtype=int)]
    labels = torch.tensor([label for _, label in images])
    with torch.no_grad():
        logits = load_network(laid.root / FILE)(torch.stack([image for image, _ in images]))
    assert metrics["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert metrics["top1"] == pytest.approx(100 * float((logits.argmax(1) == labels).double().mean()))

    laid.change("curvature", seed=1)
    other = curvature.run(laid.context("curvature", row="found"))
    assert (other["loss"], other["top1"]) == (metrics["loss"], metrics["top1"])
    assert other["flatness"] != metrics["flatness"]


def test_the_flatness_is_eq_4_of_the_curve_beyond_zero(laid: Tiny) -> None:
    laid.change("curvature", draws=1, alpha=0.5)
    metrics = curvature.run(laid.context("curvature", row="found"))
    _, first, second = pd.read_csv(laid.root / "out/curvature/found/curve.csv")["loss"]
    assert metrics["flatness"] == pytest.approx(1 / (abs(second - first) / 0.01 + 0.5 * first / 0.01 + 1e-5))


def test_a_sigma_has_its_noise_whatever_the_others_are(laid: Tiny) -> None:
    def losses(path: Path) -> dict[float, float]:
        curvature.run(laid.context("curvature", row="found"))
        return pd.read_csv(path).set_index("sigma")["loss"].to_dict()

    path = laid.root / "out/curvature/found/curve.csv"
    first = losses(path)
    laid.change("curvature", sigma=[0, 0.005, 0.02])
    second = losses(path)
    assert first[0.02] == second[0.02]
    assert set(second) - set(first) == {0.005}
