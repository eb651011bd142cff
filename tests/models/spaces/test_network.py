"""The stand-alone network over published and random cells: shapes, features, gradients, timm's interface, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.networks.published import zoo, zoo_genotype
from genas.models.spaces.darts.auxiliary import AuxiliaryHead
from genas.models.spaces.darts.genotype import Genotype, random_genotype
from genas.models.spaces.darts.layout import edge_stride, is_reduction
from genas.models.spaces.darts.network import GenasNetwork

PUBLISHED = [name for name, row in zoo().items() if row["genotype"]]
CELLS = {name: zoo_genotype(name) for name in PUBLISHED}
CELLS |= {f"random{seed}": random_genotype(np.random.default_rng(seed)) for seed in range(4)}
SOME = ["genas_flatness_c100", "darts_v2_c10", "fairdarts_b_c10", "random0"]


def build(name: str = "darts_v2_c10", **architecture: Any) -> GenasNetwork:
    torch.manual_seed(0)
    return GenasNetwork(CELLS[name], **{"width": 4, "layers": 5, "num_classes": 7, **architecture})


def images(size: int | tuple[int, int] = 64, count: int = 2) -> Tensor:
    height, width = (size, size) if isinstance(size, int) else size
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def settled(network: nn.Module) -> nn.Module:
    """In evaluation mode with BatchNorm statistics of some images, so that signals keep their size."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
    network.train()(images(64, 4))
    return network.eval()


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_makes_a_network_that_learns(name: str) -> None:
    network = build(name, auxiliary=True)
    logits, auxiliary = network(images())
    assert logits.shape == auxiliary.shape == (2, 7)
    (logits.square().sum() + auxiliary.square().sum()).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("layers", [3, 4, 5, 8, 14])
def test_every_parameter_gets_a_gradient_at_any_depth(layers: int, stem: str) -> None:
    network = build(layers=layers, stem=stem, auxiliary=True, width=2)
    sum(out.square().sum() for out in network(images(32))).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("size", [64, (48, 80), (45, 67), 33])
@pytest.mark.parametrize("name", SOME)
def test_features_have_the_announced_strides_and_channels(name: str, size: int | tuple[int, int]) -> None:
    backbone = timm.create_model("genas_network", genotype=CELLS[name], width=4, layers=5, features_only=True).eval()
    assert backbone.feature_info.reduction() == [4, 8, 16, 32]
    assert backbone.feature_info.channels() == [4, 16, 32, 64]
    x = images(size)
    for out, stride, channels in zip(
        backbone(x), backbone.feature_info.reduction(), backbone.feature_info.channels(), strict=True
    ):
        assert out.shape == (2, channels, *(-(-n // stride) for n in x.shape[2:]))


def test_the_cifar_stem_has_strides_1_2_and_4() -> None:
    backbone = timm.create_model(
        "genas_network", genotype=CELLS["random1"], width=4, layers=5, stem="cifar", features_only=True
    )
    assert backbone.feature_info.reduction() == [1, 2, 4]
    assert [out.shape[-1] for out in backbone(images(32))] == [32, 16, 8]
    assert [out.shape[1] for out in backbone(images(32))] == backbone.feature_info.channels() == [16, 32, 64]


def test_a_genotype_may_be_given_as_json_holds_it() -> None:
    genotype = CELLS["fairdarts_b_c10"]
    network = timm.create_model("genas_network", genotype=genotype.to_dict(), width=2, layers=3)
    assert network.genotype == genotype
    with pytest.raises(GenasError, match="a genotype has a list of edges under 'reduce'"):
        timm.create_model("genas_network", genotype={"normal": genotype.to_dict()["normal"]})


def test_single_features_are_chosen_by_index() -> None:
    whole = timm.create_model("genas_network", genotype=CELLS["random1"], width=4, layers=5, features_only=True)
    some = timm.create_model(
        "genas_network", genotype=CELLS["random1"], width=4, layers=5, features_only=True, out_indices=(1, 3)
    )
    some.load_state_dict(whole.state_dict())
    assert some.feature_info.reduction() == [8, 32]
    for got, expected in zip(some.eval()(images()), [whole.eval()(images())[i] for i in (1, 3)], strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("size", [64, (50, 71)])
@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", SOME)
def test_a_smaller_output_stride_is_the_same_network_on_a_denser_grid(
    name: str, output_stride: int, size: int | tuple[int, int]
) -> None:
    strided = timm.create_model("genas_network", genotype=CELLS[name], width=4, layers=5, features_only=True)
    settled(strided)
    dense = timm.create_model(
        "genas_network", genotype=CELLS[name], width=4, layers=5, features_only=True, output_stride=output_stride
    )
    dense.load_state_dict(strided.state_dict())
    assert dense.feature_info.reduction() == [4, 8, min(16, output_stride), output_stride]
    x = images(size)
    with torch.no_grad():
        for sparse, close, stride in zip(strided(x), dense.eval()(x), (4, 8, 16, 32), strict=True):
            every = max(1, stride // output_stride)
            assert close.shape[2:] == torch.Size(-(-n // min(stride, output_stride)) for n in x.shape[2:])
            torch.testing.assert_close(close[:, :, ::every, ::every], sparse, rtol=1e-4, atol=1e-4)


def test_reductions_stand_at_one_third_and_two_thirds() -> None:
    assert [i for i in range(14) if is_reduction(i, 14)] == [4, 9]  # the paper's network
    assert [i for i in range(8) if is_reduction(i, 8)] == [2, 5]  # its supernet
    assert [edge_stride(True, s) for s in range(4)] == [2, 2, 1, 1]
    assert [edge_stride(False, s) for s in range(4)] == [1, 1, 1, 1]


@pytest.mark.parametrize("size", [7, 8, 2, 3, 11])
def test_the_auxiliary_head_pools_any_map_to_two_by_two(size: int) -> None:
    seen = []
    auxiliary = AuxiliaryHead(4, 5).eval()
    auxiliary.features.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2:]))
    assert auxiliary(torch.randn(3, 4, size, size)).shape == (3, 5)
    assert seen == [torch.Size([2, 2])]


def test_the_auxiliary_head_works_in_training_only() -> None:
    network = build(auxiliary=True)
    assert isinstance(network.train()(images()), tuple)
    assert isinstance(network.eval()(images()), Tensor)
    assert isinstance(build().train()(images()), Tensor)


def test_another_number_of_classes_gets_a_fresh_classifier_and_no_auxiliary_head() -> None:
    network = build(auxiliary=True)
    features = network.eval().forward_features(images())
    network.reset_classifier(3)
    assert network.num_classes == 3
    assert network.get_classifier().out_features == 3
    assert network(images()).shape == (2, 3)
    torch.testing.assert_close(network.forward_features(images()), features)
    network.reset_classifier(0, "max")
    torch.testing.assert_close(network(images()), features.amax((2, 3)))
    assert isinstance(network.train()(images()), Tensor)
    assert build(num_classes=0)(images()).shape == (2, 64)


def test_pooled_features_are_what_the_classifier_reads() -> None:
    network = build().eval()
    pooled = network.forward_head(network.forward_features(images()), pre_logits=True)
    assert pooled.shape == (2, network.num_features)
    torch.testing.assert_close(network.classifier(pooled), network(images()))


def test_checkpointing_gives_the_same_gradients() -> None:
    gradients = []
    for enable in (False, True):
        network = build("random2", auxiliary=True)
        network.set_grad_checkpointing(enable)
        sum(out.square().sum() for out in network(images())).backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    torch.testing.assert_close(*gradients)


def test_dropped_paths_change_training_and_not_evaluation() -> None:
    plain, dropping = build("random0"), build("random0", drop_path_rate=0.5)
    torch.testing.assert_close(dropping.state_dict(), plain.state_dict())
    torch.manual_seed(1)
    first, second = dropping(images()), dropping(images())
    assert not torch.equal(first, second)
    assert torch.equal(plain(images()), plain(images()))
    dropping.load_state_dict(plain.state_dict())
    assert torch.equal(dropping.eval()(images()), plain.eval()(images()))


def test_plain_skips_are_never_dropped() -> None:
    skips = Genotype.from_dict(
        {kind: [["skip_connect", s, t] for t in (2, 3, 4, 5) for s in (0, 1)] for kind in ("normal", "reduce")}
    )
    network = GenasNetwork(skips, width=4, layers=3, num_classes=2, drop_path_rate=1.0)
    cell = network.cells[0]
    s0, s1 = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 4, 4)
    expected = (cell.preprocess0(s0) + cell.preprocess1(s1)).repeat(1, 4, 1, 1)
    torch.testing.assert_close(cell(s0, s1), expected)


@pytest.mark.parametrize("size", [32, 33, 47, (63, 41)])
@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_odd_input_sizes_work(stem: str, size: int | tuple[int, int]) -> None:
    for name in SOME:
        logits, auxiliary = build(name, stem=stem, width=2, layers=3, auxiliary=True)(images(size))
        assert logits.shape == auxiliary.shape == (2, 7)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"width": 5}, "width 5: the width is even"),
        ({"width": 0}, "width 0: the width is even"),
        ({"stem": "resnet"}, "unknown stem 'resnet', expected one of imagenet, cifar"),
        ({"layers": 2}, "2 layers: at least 3"),
        ({"output_stride": 4}, "output stride 4 is not possible with the imagenet stem"),
        ({"output_stride": 8, "stem": "cifar"}, "output stride 8 is not possible with the cifar stem"),
    ],
)
def test_impossible_networks_are_refused(architecture: dict[str, Any], message: str) -> None:
    with pytest.raises(GenasError, match=message):
        build(**architecture)


def test_other_numbers_of_input_channels() -> None:
    assert build(in_chans=1)(torch.randn(2, 1, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_it_builds_on_the_meta_device(stem: str) -> None:
    with torch.device("meta"):
        network = build(stem=stem, auxiliary=True)
        out = network.train()(torch.empty(2, 3, 64, 64))
    assert all(tensor.is_meta for tensor in (*network.parameters(), *out))
    network.to_empty(device="cpu")
    assert not any(parameter.is_meta for parameter in network.parameters())


def test_layer_groups_name_existing_parameters() -> None:
    from timm.models import group_parameters

    network = build()
    groups = group_parameters(network, network.group_matcher())
    assert sorted(name for names in groups.values() for name in names) == sorted(
        name for name, _ in network.named_parameters()
    )
    assert len(groups) == 1 + 5 + 1  # stem, five cells, the rest


def test_channels_last_and_bfloat16_autocast_run() -> None:
    network = build(auxiliary=True).to(memory_format=torch.channels_last)
    x = images().contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x)[0], build(auxiliary=True)(images())[0], rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = network(x)
    logits.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.classifier.parameters())
