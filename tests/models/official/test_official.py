"""Checkpoints of the official code: names there and back, and what is said of files that do not fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from genas.models.errors import GenasError
from genas.models.networks.published import zoo_genotype
from genas.models.official.weights import (
    load_official_network,
    load_official_supernet,
    official_name,
    official_network_state,
    official_state,
    our_name,
    read_official,
)
from genas.models.spaces.darts.genotype import Genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.models.spaces.darts.supernet import Supernet
from tests.bomb import Bomb


def supernet(channels: int = 2, seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    return Supernet(3, channels, 4)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stem.0.weight", "stem.0.weight"),
        ("cells.0.preprocess0.op.1.weight", "cells.0.preprocess0.1.weight"),
        ("cells.3.preprocess0.conv_1.weight", "cells.3.preprocess0.conv1.weight"),
        ("cells.0._ops.0._ops.1.1.weight", "cells.0.edges.0->2.max_pool_3x3.1.weight"),
        ("cells.0._ops.3._ops.4.op.1.weight", "cells.0.edges.1->3.sep_conv_3x3.1.weight"),
        ("cells.2._ops.13._ops.7.op.3.bias", "cells.2.edges.4->5.dil_conv_5x5.3.bias"),
        ("cells.1._ops.0._ops.3.conv_2.weight", "cells.1.edges.0->2.skip_connect.conv2.weight"),
        ("cells.1._ops.0._ops.3.bn.running_mean", "cells.1.edges.0->2.skip_connect.bn.running_mean"),
        ("classifier.bias", "classifier.bias"),
    ],
)
def test_names(theirs: str, ours: str) -> None:
    assert our_name(theirs) == ours
    assert official_name(ours) == theirs


def test_every_name_of_a_supernet_goes_there_and_back() -> None:
    names = list(supernet().state_dict())
    assert [our_name(official_name(name)) for name in names] == names
    assert len({official_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["cells.0._ops.14._ops.1.1.weight", "cells.0._ops.0._ops.8.op.1.weight"])
def test_an_edge_or_operation_outside_the_space_is_named(name: str) -> None:
    with pytest.raises(GenasError, match="no such edge or operation"):
        our_name(name)


def test_a_training_checkpoint_is_read(tmp_path: Path) -> None:
    """As the official training writes it: epoch, state, optimizer, names from data-parallel training."""
    source, target = supernet(), supernet(seed=1)
    state = {f"module.{name}": value for name, value in official_state(source).items()}
    torch.save({"epoch": 250, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}, tmp_path / "c.pth")
    load_official_supernet(target, tmp_path / "c.pth")
    loaded = target.state_dict()
    for name, value in source.state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_a_checkpoint_of_another_width_names_the_tensor(tmp_path: Path) -> None:
    save_file(official_state(supernet(4)), str(tmp_path / "wide.safetensors"))
    with pytest.raises(GenasError, match=r"wide.safetensors: .* has shape .*, expected"):
        load_official_supernet(supernet(2), tmp_path / "wide.safetensors")


def test_what_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match="no such checkpoint"):
        read_official(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("nothing")
    with pytest.raises(GenasError, match="not a readable checkpoint"):
        read_official(tmp_path / "text.pth")
    torch.save({"state_dict": [1, 2]}, tmp_path / "list.pth")
    with pytest.raises(GenasError, match="no state_dict of tensors"):
        read_official(tmp_path / "list.pth")


@pytest.mark.parametrize("content", ["state", "optimizer", "all"])
@pytest.mark.parametrize("name", ["bomb.pth", "bomb.safetensors"])
def test_nothing_is_unpickled(tmp_path: Path, content: str, name: str) -> None:
    bomb = Bomb(tmp_path / "ran")
    torch.save(
        {"state": {"state_dict": bomb}, "optimizer": {"state_dict": {}, "optimizer": bomb}, "all": bomb}[content],
        tmp_path / name,
    )
    with pytest.raises(GenasError, match="not a readable checkpoint"):
        read_official(tmp_path / name)
    for protocol in (0, 2, 4):
        (tmp_path / name).write_bytes(pickle.dumps(bomb, protocol=protocol))
        with pytest.raises(GenasError, match="not a readable checkpoint"):
            read_official(tmp_path / name)
    assert not (tmp_path / "ran").exists()


# ---- networks of single cells ---------------------------------------------------------------------------------------

DARTS = zoo_genotype("darts_v2_c10")


def network(stem: str = "imagenet", width: int = 4, seed: int = 0, auxiliary: bool = True) -> GenasNetwork:
    torch.manual_seed(seed)
    return GenasNetwork(DARTS, width, 4, num_classes=3, stem=stem, auxiliary=auxiliary)


def listing(genotype: Genotype, swap: bool) -> dict[str, list[tuple[str, int]]]:
    """The genotype as the official code would list it, the two inputs of each node swapped or not."""
    listed = {}
    for name, cell in (("normal", genotype.normal), ("reduce", genotype.reduce)):
        pairs = [(edge.operation, edge.source) for edge in cell]
        listed[name] = [pairs[i + (1 - j if swap else j)] for i in range(0, len(pairs), 2) for j in range(2)]
    return listed


def test_the_names_of_an_imagenet_network() -> None:
    """As the official modules have them: an auxiliary head that begins with ReLU and pooling, ``op`` in sequences."""
    names = set(official_network_state(network()))
    for name in (
        "stem0.3.weight",
        "stem1.2.running_var",
        "cells.0.preprocess0.conv_1.weight",  # behind the stem the first cell halves its older input
        "cells.0.preprocess1.op.1.weight",
        "cells.0._ops.0.op.6.weight",
        "auxiliary_head.features.2.weight",
        "auxiliary_head.features.3.running_mean",
        "auxiliary_head.features.5.weight",
        "auxiliary_head.classifier.bias",
        "classifier.weight",
    ):
        assert name in names, name
    assert not [name for name in names if "operations" in name or "conv1" in name]


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("swap", [False, True])
def test_a_network_goes_there_and_back_in_any_listing(tmp_path: Path, stem: str, swap: bool) -> None:
    source, target = network(stem), network(stem, seed=1)
    listed = listing(DARTS, swap)
    state = {f"module.{name}": value for name, value in official_network_state(source, listed).items()}
    state["module.cells.0.total_ops"] = torch.zeros(1)  # left by the official counter
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "c.pth")
    load_official_network(target, tmp_path / "c.pth", listed)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(source.eval()(images), target.eval()(images))


def test_a_listing_moves_operations() -> None:
    """What is first in the swapped listing is the second operation of ours."""
    one = network()
    plain, swapped = (official_network_state(one, listing(DARTS, swap)) for swap in (False, True))
    assert plain["cells.0._ops.0.op.1.weight"].equal(one.cells[0].operations[0][1].weight)  # type: ignore[index]
    assert swapped["cells.0._ops.0.op.1.weight"].equal(one.cells[0].operations[1][1].weight)  # type: ignore[index]


def test_another_genotypes_listing_or_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match="another genotype"):
        official_network_state(network(), listing(zoo_genotype("pcdarts_c10"), False))
    save_file(official_network_state(network(width=8)), str(tmp_path / "wide.safetensors"))
    with pytest.raises(GenasError, match=r"wide.safetensors: .* has shape .*, expected"):
        load_official_network(network(), tmp_path / "wide.safetensors")
    save_file({"cells.9._ops.0.op.1.weight": torch.zeros(1)}, str(tmp_path / "deep.safetensors"))
    with pytest.raises(GenasError, match=r"cells.9._ops.0.op.1.weight: the network has no such cell"):
        load_official_network(network(), tmp_path / "deep.safetensors")
    save_file(official_network_state(network()), str(tmp_path / "full.safetensors"))
    with pytest.raises(GenasError, match=r"auxiliary_head.classifier.bias is not in the network"):
        load_official_network(network(auxiliary=False), tmp_path / "full.safetensors")
