"""Exports: other software reads them, offline, and gives the network's own logits for any number of images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.networks.export import TOLERANCE, require_same, write_programs, write_timm
from genas.models.networks.files.checkpoint import Preprocessing, load_network, read_header
from genas.models.networks.published import zoo_genotype
from genas.pipeline.config import REPOSITORY
from tests.networks import write_network

SIZE = 32
PREPROCESSING = Preprocessing(SIZE, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), crop_pct=0.875)
CASES: dict[str, dict[str, Any]] = {
    "imagenet": {"stem": "imagenet", "auxiliary": True},
    "cifar": {"stem": "cifar", "genotype": zoo_genotype("fairdarts_b_c10")},  # nodes with one input, and with three
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every case's ``NAME.safetensors`` and, in ``NAME``, its export for timm."""
    root = tmp_path_factory.mktemp("exports")
    for name, case in CASES.items():
        source = write_network(root / f"{name}.safetensors", PREPROCESSING, layers=3, worn=True, **case)
        (root / name).mkdir()
        assert write_timm(source, root / name, "mine") <= TOLERANCE
    return root


@pytest.fixture(scope="module")
def programs(exports: Path, request: pytest.FixtureRequest) -> Path:
    """A case's folder, with its programs too."""
    folder = exports / str(request.param)
    assert max(write_programs(folder.with_suffix(".safetensors"), folder).values()) <= TOLERANCE
    return folder


def images(count: int) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def logits(exports: Path, name: str, count: int) -> Tensor:
    """Of the network file itself."""
    return load_network(exports / f"{name}.safetensors")(images(count))


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=TOLERANCE)


each = pytest.mark.parametrize("programs", CASES, indirect=True, scope="module")


@pytest.mark.slow
@each
@pytest.mark.parametrize("count", [1, 3, 5])
def test_onnx_gives_the_same_logits(programs: Path, count: int) -> None:
    session = onnxruntime.InferenceSession(programs / "model.onnx", providers=["CPUExecutionProvider"])
    (got,) = session.run(["logits"], {"images": images(count).numpy()})
    close(torch.from_numpy(got), logits(programs.parent, programs.name, count))


@pytest.mark.slow
@each
@pytest.mark.parametrize("count", [1, 3, 5])
def test_the_exported_program_gives_the_same_logits(programs: Path, count: int) -> None:
    program = torch.export.load(programs / "model.pt2").module()
    close(program(images(count)), logits(programs.parent, programs.name, count))


@pytest.mark.slow
def test_timm_loads_every_folder_offline_in_a_fresh_process(exports: Path, tmp_path: Path) -> None:
    code = (
        "import sys, timm, torch, genas.models.spaces.darts.network\n"
        "root, images, names = sys.argv[1], torch.load(sys.argv[2], weights_only=True), sys.argv[3:]\n"
        "networks = [timm.create_model(f'local-dir:{root}/{name}', pretrained=True).eval() for name in names]\n"
        "torch.save([network(images).detach() for network in networks], sys.argv[2])\n"
    )
    exchange = tmp_path / "exchange.pt"
    torch.save(images(3), exchange)
    surroundings = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code, exports, exchange, *CASES], cwd=tmp_path, env=surroundings, check=True)
    for name, got in zip(CASES, torch.load(exchange, weights_only=True), strict=True):
        close(got, logits(exports, name, 3))


@pytest.mark.parametrize("name", CASES)
def test_timm_changes_a_loaded_network_as_any_other(exports: Path, name: str) -> None:
    network, model = load_network(exports / f"{name}.safetensors"), f"local-dir:{exports / name}"
    other = timm.create_model(model, pretrained=True, num_classes=5).eval()
    assert other(images(2)).shape == (2, 5)
    close(other.forward_features(images(2)), network.forward_features(images(2)))
    grey = timm.create_model(model, pretrained=True, in_chans=1).eval()
    close(grey(images(2)[:, :1]), network(images(2)[:, :1].expand(-1, 3, -1, -1)))
    backbone = timm.create_model(model, pretrained=True, features_only=True).eval()
    assert backbone.feature_info.reduction() == [info["reduction"] for info in network.feature_info]
    for got, expected in zip(
        backbone(images(2)), network.forward_intermediates(images(2), intermediates_only=True), strict=True
    ):
        close(got, expected)


@pytest.mark.parametrize("name", CASES)
def test_the_folder_says_how_to_prepare_pixels_and_what_classes_are_called(exports: Path, name: str) -> None:
    network = timm.create_model(f"local-dir:{exports / name}", pretrained=True)
    data = timm.data.resolve_model_data_config(network)
    assert (data["input_size"], data["interpolation"], data["crop_pct"]) == ((3, SIZE, SIZE), "bilinear", 0.875)
    assert (tuple(data["mean"]), tuple(data["std"])) == (PREPROCESSING.mean, PREPROCESSING.std)
    assert network.pretrained_cfg["label_names"] == ["a", "b", "c"]
    assert (network.pretrained_cfg["tag"], network.pretrained_cfg["license"]) == ("mine", "mit")


@pytest.mark.parametrize("name", CASES)
def test_the_auxiliary_head_stays_behind(exports: Path, name: str) -> None:
    assert not [key for key in load_file(exports / name / "model.safetensors") if "auxiliary" in key]
    assert json.loads((exports / name / "config.json").read_text())["model_args"]["auxiliary"] is False


def test_the_weights_are_a_network_file_too(exports: Path) -> None:
    exported = exports / "imagenet" / "model.safetensors"
    before, after = read_header(exports / "imagenet.safetensors"), read_header(exported)
    assert (after.genotype, after.preprocessing, after.classes) == (
        before.genotype,
        before.preprocessing,
        before.classes,
    )
    close(load_network(exported)(images(2)), logits(exports, "imagenet", 2))


@pytest.mark.slow
@pytest.mark.parametrize("programs", ["cifar"], indirect=True, scope="module")
def test_no_file_names_this_machine(programs: Path) -> None:
    assert {"model.onnx", "model.pt2", "model.safetensors"} <= {path.name for path in programs.iterdir()}
    for path in programs.iterdir():
        content = path.read_bytes()
        for folder in (REPOSITORY, Path(sys.prefix), Path(torch.__file__).parent, programs.parent):
            assert str(folder).encode() not in content, f"{path.name} names {folder}"


@pytest.mark.parametrize(
    ("error", "said"), [(2 * TOLERANCE, "by 0.0002 from"), (float("inf"), "by inf from"), (float("nan"), "by nan from")]
)
def test_other_logits_are_an_error_that_says_by_how_much(exports: Path, error: float, said: str) -> None:
    source = exports / "cifar.safetensors"
    network = load_network(source)
    same = require_same(source, network, read_header(source), lambda x: network(x) + TOLERANCE / 2)
    assert same == pytest.approx(TOLERANCE / 2, rel=1e-2)

    def for_several(x: Tensor) -> Tensor:
        return network(x) + (error if len(x) > 1 else 0)

    with pytest.raises(GenasError, match=said):
        require_same(source, network, read_header(source), for_several)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_one_line(
    exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(GenasError, match=rf"^an export needs {package}: pip install -e '\.\[export\]'$"):
        write_programs(exports / "cifar.safetensors", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(exports: Path, tmp_path: Path) -> None:
    for write in (lambda path: write_timm(path, tmp_path, "x"), lambda path: write_programs(path, tmp_path)):
        with pytest.raises(GenasError, match="not a network file"):
            write(exports / "cifar" / "config.json")
