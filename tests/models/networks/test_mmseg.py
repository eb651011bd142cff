"""The MMSegmentation backbone: the network's own maps and weights, BatchNorm and memory as it names them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import Preprocessing, load_backbone
from genas.models.networks.mmseg import GenasBackbone
from tests.networks import write_network

pytestmark = [
    # Building the first model imports MMCV's transformer bricks, which miss compiled operations that nothing here uses.
    pytest.mark.filterwarnings("ignore:Fail to import:UserWarning"),
    pytest.mark.filterwarnings("ignore:Default ``avg_non_ignore``:UserWarning"),
]

PIXELS = Preprocessing(64, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("weights") / "weights.safetensors", PIXELS, 5, worn=True)


def image(size: int = 64) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("output_stride", "strides"), [(8, (4, 8, 8, 8)), (16, (4, 8, 16, 16)), (32, (4, 8, 16, 32))])
def test_maps(weights: Path, output_stride: int, strides: tuple[int, ...]) -> None:
    backbone = MODELS.build(
        {"type": "GenasBackbone", "checkpoint": str(weights), "output_stride": output_stride}
    ).eval()
    assert isinstance(backbone, GenasBackbone)
    with torch.no_grad():
        maps = backbone(image())
        expected = load_backbone(weights, output_stride).eval()(image())
    assert isinstance(maps, tuple)
    assert backbone.channels == (4, 16, 32, 64)
    for one, same, channels, stride in zip(maps, expected, backbone.channels, strides, strict=True):
        assert one.shape == (2, channels, 64 // stride, 64 // stride)
        torch.testing.assert_close(one, same)


def test_stride_8_is_the_dense_stride_32(weights: Path) -> None:
    """Atrous cells see what strided cells saw: every fourth pixel of the last map is the stride-32 map."""
    dense, strided = GenasBackbone(str(weights), 8).eval(), GenasBackbone(str(weights), 32).eval()
    with torch.no_grad():
        torch.testing.assert_close(dense(image())[3][..., ::4, ::4], strided(image())[3])


def test_initialisation_keeps_the_trained_weights(weights: Path) -> None:
    backbone = GenasBackbone(str(weights))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.init_weights()
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("norm_eval", [False, True])
def test_norm_eval(weights: Path, norm_eval: bool) -> None:
    backbone = GenasBackbone(str(weights), norm_eval=norm_eval).train()
    name = next(name for name in backbone.state_dict() if name.endswith("running_mean"))
    before = backbone.state_dict()[name].clone()
    backbone(image())
    assert torch.equal(before, backbone.state_dict()[name]) == norm_eval
    assert backbone.training
    assert not backbone.eval().training


def test_norm_cfg_is_the_frameworks(weights: Path) -> None:
    """SyncBN wherever a network has BatchNorm, same weights under the same names; MMEngine turns it back."""
    plain, synchronised = GenasBackbone(str(weights)), GenasBackbone(str(weights), norm_cfg={"type": "SyncBN"})
    kinds = {type(module) for module in synchronised.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)}
    assert kinds == {nn.SyncBatchNorm}
    back = revert_sync_batchnorm(synchronised)
    assert plain.state_dict().keys() == back.state_dict().keys()
    torch.testing.assert_close(back.eval()(image()), plain.eval()(image()))
    still = GenasBackbone(str(weights), norm_cfg={"type": "BN", "requires_grad": False})
    assert {p.requires_grad for m in still.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()} == {
        False
    }
    assert next(still.parameters()).requires_grad


@pytest.mark.parametrize("norm", [{"type": "GN"}, {"type": "BN", "momentum": 0.1}])
def test_another_norm_cfg_is_refused(weights: Path, norm: dict[str, object]) -> None:
    with pytest.raises(GenasError, match=r"model\.backbone\.norm_cfg: .*, expected type BN or SyncBN"):
        GenasBackbone(str(weights), norm_cfg=norm)


def test_with_cp_gives_the_same_gradients(weights: Path) -> None:
    gradients = []
    for with_cp in (False, True):
        backbone = GenasBackbone(str(weights), norm_eval=True, with_cp=with_cp).train()
        assert backbone.body.model.grad_checkpointing == with_cp
        backbone(image())[3].square().mean().backward()
        gradients.append(next(backbone.parameters()).grad)
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(*gradients)


def test_the_cifar_stem_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match="needs the imagenet stem"):
        GenasBackbone(str(write_network(tmp_path / "weights.safetensors", PIXELS, 5, stem="cifar", worn=True)))
