"""Networks on disk: what comes back, what the header says, and what is refused in one line."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import Preprocessing, load_backbone, load_network, read_header, save_network
from genas.models.spaces.base.weights import load_state, save_weights
from genas.models.spaces.darts.genotype import random_genotype
from genas.models.spaces.darts.network import GenasNetwork
from tests.bomb import Bomb

PREPROCESSING = Preprocessing(48, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), crop_pct=0.875)
CLASSES = ["ant", "bee", "cat"]


def build(**architecture: Any) -> GenasNetwork:
    torch.manual_seed(0)
    genotype = random_genotype(np.random.default_rng(0))
    network = GenasNetwork(genotype, **{"width": 4, "layers": 4, "num_classes": 3, **architecture})
    network(images())  # statistics that are not those of a fresh network
    return network.eval()


def images() -> torch.Tensor:
    return torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("auxiliary", [False, True])
def test_a_network_comes_back_as_it_was(path: Path, stem: str, auxiliary: bool) -> None:
    network = build(stem=stem, auxiliary=auxiliary)
    save_network(path, network, PREPROCESSING, CLASSES)
    loaded = load_network(path)
    assert not loaded.training
    assert torch.equal(loaded(images()), network(images()))
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), rtol=0, atol=0)
    assert loaded.genotype == network.genotype


def test_the_header_says_how_to_prepare_pixels_and_what_the_classes_are(path: Path) -> None:
    network = build(in_chans=3)
    save_network(path, network, PREPROCESSING, CLASSES)
    header = read_header(path)
    assert header.preprocessing == PREPROCESSING
    assert header.classes == tuple(CLASSES)
    assert header.genotype == network.genotype
    assert header.architecture == {
        "width": 4, "layers": 4, "stem": "imagenet", "num_classes": 3, "in_chans": 3, "auxiliary": False
    }  # fmt: skip
    cfg = load_network(path).pretrained_cfg
    assert cfg["input_size"] == (3, 48, 48)
    assert (cfg["mean"], cfg["std"], cfg["crop_pct"]) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 0.875)


def test_grey_networks_come_back_too(path: Path) -> None:
    torch.manual_seed(0)
    network = GenasNetwork(random_genotype(np.random.default_rng(0)), 4, 3, num_classes=3, in_chans=1).eval()
    save_network(path, network, PREPROCESSING, CLASSES)
    assert torch.equal(load_network(path)(images()[:, :1]), network(images()[:, :1]))


def test_the_same_state_gives_the_same_bytes_in_any_memory_format(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    network = build()
    save_network(first, network, PREPROCESSING, CLASSES)
    save_network(second, build().to(memory_format=torch.channels_last), PREPROCESSING, CLASSES)
    save_network(third, load_network(first), PREPROCESSING, CLASSES)
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()


def test_bare_weights_have_no_header(path: Path) -> None:
    save_weights(path, build())
    with safe_open(str(path), framework="pt") as file:
        assert not file.metadata()
    with pytest.raises(GenasError, match="not a network file of this project"):
        read_header(path)


@pytest.mark.parametrize(("output_stride", "sizes"), [(32, [12, 6, 3, 2]), (16, [12, 6, 3, 3]), (8, [12, 6, 6, 6])])
def test_a_backbone_gives_the_networks_own_features(path: Path, output_stride: int, sizes: list[int]) -> None:
    network = build(auxiliary=True)
    save_network(path, network, PREPROCESSING, CLASSES)
    backbone = load_backbone(path, output_stride).eval()
    maps = backbone(images())
    assert [out.shape[-1] for out in maps] == sizes
    assert backbone.feature_info.channels() == [out.shape[1] for out in maps] == [4, 16, 32, 64]
    assert backbone.feature_info.reduction() == [min(stride, output_stride) for stride in (4, 8, 16, 32)]
    every = 32 // output_stride
    torch.testing.assert_close(maps[-1][..., ::every, ::every], network.forward_features(images()))


def test_a_backbone_has_no_heads(path: Path) -> None:
    save_network(path, build(auxiliary=True), PREPROCESSING, CLASSES)
    names = [name for name, _ in load_backbone(path).named_parameters()]
    assert not [name for name in names if "classifier" in name or "auxiliary" in name]


def test_a_cifar_network_is_no_backbone(path: Path) -> None:
    save_network(path, build(stem="cifar"), PREPROCESSING, CLASSES)
    with pytest.raises(GenasError, match=r"trained with the cifar stem .* a backbone needs the imagenet stem"):
        load_backbone(path)


def rewrite(path: Path, **changed: torch.Tensor | None) -> None:
    """Change or drop tensors of a file, its header kept."""
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata()
    state = {name: value for name, value in {**load_file(str(path)), **changed}.items() if value is not None}
    save_file(state, str(path), metadata=metadata)


@pytest.mark.parametrize("load", [load_network, load_backbone])
def test_another_shape_names_file_and_tensor(path: Path, load: Any) -> None:
    save_network(path, build(), PREPROCESSING, CLASSES)
    rewrite(path, **{"cells.0.preprocess0.bn.bias": torch.zeros(9)})
    with pytest.raises(GenasError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: cells.0.preprocess0.bn.bias has shape (9,), expected (4,)"


def test_a_file_of_another_width_names_the_first_tensor_that_differs(path: Path) -> None:
    save_weights(path, build(width=6))
    with pytest.raises(GenasError, match=r"cells\.0\.\S+ has shape \(6.*\), expected \(4") as caught:
        load_state(build(width=4), load_file(str(path)), path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_and_a_surplus_tensor_are_named(path: Path) -> None:
    save_network(path, build(), PREPROCESSING, CLASSES)
    rewrite(path, **{"classifier.bias": None})
    with pytest.raises(GenasError, match=r"classifier\.bias is missing"):
        load_network(path)
    rewrite(path, **{"classifier.bias": torch.zeros(3), "neck.weight": torch.zeros(1)})
    with pytest.raises(GenasError, match=r"neck\.weight is not in the network"):
        load_network(path)


def test_a_refused_file_leaves_the_module_alone(path: Path) -> None:
    network = build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(GenasError, match="missing"):
        load_state(network, {"classifier.bias": torch.ones(3)}, path)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such weights file"),
        (b"", "not a network file of this project"),
        (b"PK\x03\x04 a pickle in a zip, as torch.save writes it", "not a network file of this project"),
    ],
)
@pytest.mark.parametrize("read", [read_header, load_network, load_backbone])
def test_no_safetensors_file_is_said_so(path: Path, content: bytes | None, message: str, read: Any) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GenasError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(path: Path) -> None:
    save_network(path, build(), PREPROCESSING, CLASSES)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(GenasError, match="not a network file of this project"):
        load_network(path)


@pytest.mark.parametrize("header", ["{", "{}", "[]", json.dumps({"genotype": {}, "preprocessing": {}})])
def test_a_header_of_something_else_is_refused(path: Path, header: str) -> None:
    save_weights(path, build(), {"genas": header})
    with pytest.raises(GenasError, match="not a network file of this project") as caught:
        read_header(path)
    assert str(caught.value).startswith(f"{path}: ")


@cache
def small() -> GenasNetwork:
    return build(width=2, layers=3)


def changed(path: Path, change: Any) -> None:
    """A network file whose header ``change`` has had in hand."""
    network = small()
    save_network(path, network, PREPROCESSING, CLASSES)
    with safe_open(str(path), framework="pt") as file:
        header = json.loads(file.metadata()["genas"])
    change(header)
    save_weights(path, network, {"genas": json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h["architecture"].update(pretrained=True), "architecture.pretrained: Extra inputs"),
        (lambda h: h["architecture"].update(checkpoint_path="x.pth"), "architecture.checkpoint_path: Extra inputs"),
        (lambda h: h["architecture"].pop("width"), "architecture.width: Field required"),
        (lambda h: h["architecture"].update(width=10**9), "architecture.width: Input should be less than"),
        (lambda h: h["architecture"].update(width=5), "architecture.width: Input should be a multiple of 2"),
        (lambda h: h["architecture"].update(width=True), "architecture.width: Input should be a valid integer"),
        (lambda h: h["architecture"].update(layers=4.0), "architecture.layers: Input should be a valid integer"),
        (lambda h: h["architecture"].update(layers=-1), "architecture.layers: Input should be greater than"),
        (lambda h: h["architecture"].update(stem=["imagenet"]), "architecture.stem: Input should be"),
        (lambda h: h["architecture"].update(auxiliary=0), "architecture.auxiliary: Input should be a valid boolean"),
        (lambda h: h.update(architecture=[]), "architecture: Input should be"),
        (lambda h: h["preprocessing"].update(mean=[0, 0, float("nan")]), "preprocessing.mean.2: Input should be a fin"),
        (lambda h: h["preprocessing"].update(mean=[0, 0]), "preprocessing.mean.2: Field required"),
        (lambda h: h["preprocessing"].update(std=[1, 1, 0]), "preprocessing.std.2: Input should be greater than 0"),
        (lambda h: h["preprocessing"].update(size=10**9), "preprocessing.size: Input should be less than"),
        (lambda h: h["preprocessing"].update(crop_pct=0), "preprocessing.crop_pct: Input should be greater than 0"),
        (lambda h: h["preprocessing"].update(interpolation="os"), "preprocessing.interpolation: Input should be"),
        (lambda h: h.update(classes=[1, 2, 3]), "classes.0: Input should be a valid string"),
        (lambda h: h.update(genotype="darts"), "genotype: Input should be"),
        (lambda h: h["genotype"]["normal"][0].__setitem__(1, True), "normal cell: no edge leads from node True"),
        (lambda h: h.update(run="me"), "run: Extra inputs"),
    ],
)
def test_a_header_that_asks_for_more_is_one_line(path: Path, change: Any, message: str) -> None:
    changed(path, change)
    for read in (read_header, load_network, load_backbone):
        with pytest.raises(GenasError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: not a network file of this project ({message}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("header", ["[" * 100_000, "9" * 5000, '{"size": 1e999}', "null", " " * (2**24 + 1)])
def test_odd_json_is_one_line(path: Path, header: str) -> None:
    save_weights(path, small(), {"genas": header})
    with pytest.raises(GenasError, match="not a network file of this project") as caught:
        read_header(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("load", [load_network, load_backbone])
def test_a_network_larger_than_its_file_is_not_built(path: Path, load: Any) -> None:
    """It would not fit into any memory."""
    changed(path, lambda h: h["architecture"].update(width=4096, layers=20))
    with pytest.raises(GenasError, match=r"cells\.\d+\.\S+ is missing|has shape"):
        load(path)


@pytest.mark.parametrize("load", [load_network, load_backbone])
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.tensor([0.0, torch.nan, 0.0, 0.0]), "has values that are not finite"),
        (torch.tensor([0.0, torch.inf, 0.0, 0.0]), "has values that are not finite"),
        (torch.zeros(4, dtype=torch.float16), "has type torch.float16, expected torch.float32"),
        (torch.zeros(4, dtype=torch.int32), "has type torch.int32, expected torch.float32"),
    ],
)
def test_weights_that_are_no_numbers_name_file_and_tensor(
    path: Path, tensor: torch.Tensor, message: str, load: Any
) -> None:
    save_network(path, build(), PREPROCESSING, CLASSES)
    rewrite(path, **{"cells.0.preprocess0.bn.bias": tensor})
    with pytest.raises(GenasError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: cells.0.preprocess0.bn.bias {message}"


@pytest.mark.parametrize("read", [read_header, load_network, load_backbone])
def test_a_pickle_is_not_unpickled(path: Path, tmp_path: Path, read: Any) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "ran")}, path)
    with pytest.raises(GenasError, match="not a network file of this project"):
        read(path)
    assert not (tmp_path / "ran").exists()
