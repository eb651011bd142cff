"""Checkpoints of the official code (clovaai/GeNAS) in and out, by maps of names.

Supernets (train_supernet): there, edges and operations are numbered, ``cells.0._ops.3._ops.4.op.1.weight`` is the
fourth edge of the first cell and the fifth primitive. Here they have names:
``cells.0.edges.1->3.sep_conv_3x3.1.weight``.

ImageNet networks (retrain_architecture): ``cells.0._ops.3.op.1.weight`` belongs to the fourth operation in the order in
which the genotype lists them; ours stand in the order of their nodes: ``cells.0.operations.3.1.weight``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.weights import load_state
from genas.models.spaces.darts.genotype import EDGES, PRIMITIVES
from genas.models.spaces.darts.layout import is_reduction
from genas.models.spaces.darts.network import GenasNetwork
from genas.models.spaces.darts.supernet import Supernet

MALFORMED = (AttributeError, LookupError, TypeError, ValueError)
"""What torch's reader of plain pickles raises for some that are none."""
_EDGE = re.compile(r"cells\.(\d+)\._ops\.(\d+)\._ops\.(\d+)\.(?:op\.)?(.+)")
_PREPROCESS = re.compile(r"cells\.(\d+)\.(preprocess[01])\.(?:op\.)?(.+)")
_OPERATION = re.compile(r"cells\.(\d+)\._ops\.(\d+)\.(?:op\.)?(.+)")
_AUXILIARY = {"2": "0", "3": "1", "5": "3"}
"""Layers of the auxiliary head: there the first ReLU and the pooling are among the numbered ones."""
_FEATURES = re.compile(r"auxiliary_head\.features\.(\d+)\.(.+)")
_OUR_OPERATION = re.compile(r"cells\.(\d+)\.operations\.(\d+)\.(.+)")
_OUR_EDGE = re.compile(r"cells\.(\d+)\.edges\.(\d)->(\d)\.(\w+)\.(.+)")
_OUR_PREPROCESS = re.compile(r"cells\.(\d+)\.(preprocess[01])\.(.+)")


def our_name(name: str) -> str:
    """An official parameter or buffer name as ours.

    Raises:
        GenasError: it numbers an edge or an operation that the space does not have.
    """
    if match := _EDGE.fullmatch(name):
        cell, edge, operation, rest = match.groups()
        if int(edge) >= len(EDGES) or not 0 < int(operation) < len(PRIMITIVES):
            raise GenasError(f"{name}: no such edge or operation in the DARTS space")
        source, target = EDGES[int(edge)]
        return f"cells.{cell}.edges.{source}->{target}.{PRIMITIVES[int(operation)]}.{rest.replace('conv_', 'conv')}"
    if match := _PREPROCESS.fullmatch(name):
        cell, which, rest = match.groups()
        return f"cells.{cell}.{which}.{rest.replace('conv_', 'conv')}"
    return name


def _inner(rest: str) -> str:
    """Sequences are called ``op`` there, the parts of a factorized reduction have names."""
    return f"op.{rest}" if rest[0].isdigit() else re.sub(r"^conv(\d)", r"conv_\1", rest)


def official_name(name: str) -> str:
    """The inverse of :func:`our_name` on the names of a supernet."""
    if match := _OUR_EDGE.fullmatch(name):
        cell, source, target, operation, rest = match.groups()
        edge, number = EDGES.index((int(source), int(target))), PRIMITIVES.index(operation)
        # Pooling and its BatchNorm stand in a plain sequence.
        return f"cells.{cell}._ops.{edge}._ops.{number}.{rest if 'pool' in operation else _inner(rest)}"
    if match := _OUR_PREPROCESS.fullmatch(name):
        cell, which, rest = match.groups()
        return f"cells.{cell}.{which}.{_inner(rest)}"
    return name


def read_official(path: Path) -> dict[str, Tensor]:
    """The state of an official supernet file, under its own names.

    Reads safetensors, and torch files ``{"epoch", "state_dict", "optimizer"}`` or plain states; nothing is unpickled
    beyond tensors and plain containers, and the prefix of data-parallel training is dropped.

    Raises:
        GenasError: missing, unreadable, or no state of tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch tells of pickles that it will not read anyway
            content = (
                load_file(str(path))
                if path.suffix == ".safetensors"
                else torch.load(path, map_location="cpu", weights_only=True)
            )
    except FileNotFoundError:
        raise GenasError(f"{path}: no such checkpoint") from None
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, *MALFORMED) as error:
        raise GenasError(f"{path}: not a readable checkpoint ({type(error).__name__})") from None
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise GenasError(f"{path}: no state_dict of tensors in it")
    state = {name.removeprefix("module."): value for name, value in state.items()}
    # What the official multiply-add counter leaves behind is no weight.
    return {name: value for name, value in state.items() if not name.endswith(("total_ops", "total_params"))}


def load_official_supernet(network: Supernet, path: Path) -> None:
    """Load an official supernet's weights and statistics exactly.

    Raises:
        GenasError: as :func:`read_official`; or a name or a shape differs, the first is named.
    """
    load_state(network, {our_name(name): value for name, value in read_official(path).items()}, path)


def official_state(network: Supernet) -> dict[str, Tensor]:
    """A supernet's state under the official names."""
    return {official_name(name): value for name, value in network.state_dict().items()}


Listing = Mapping[str, Sequence[tuple[str, int]]]
"""A genotype as the official code lists it: ``{"normal": [("sep_conv_3x3", 0), ...], "reduce": [...]}``, two inputs a
node, an operation and the node it reads each."""


def _positions(network: GenasNetwork, listing: Listing | None) -> list[list[int]]:
    """For each cell, where each operation of the official listing stands among ours."""
    order = []
    for index in range(network.layers):
        reduction = is_reduction(index, network.layers)
        edges = network.genotype.cell(reduction)
        listed = listing["reduce" if reduction else "normal"] if listing else None
        if listed is None:
            order.append(list(range(len(edges))))
            continue
        wanted = [Edge(operation, source, 2 + i // 2) for i, (operation, source) in enumerate(listed)]
        if sorted(wanted) != sorted(edges):
            raise GenasError("the listing is of another genotype than the network's")
        order.append([edges.index(edge) for edge in wanted])
    return order


def _our_network_name(name: str, order: list[list[int]], path: Path) -> str:
    if match := _OPERATION.fullmatch(name):
        cell, number, rest = int(match[1]), int(match[2]), match[3]
        if cell >= len(order) or number >= len(order[cell]):
            raise GenasError(f"{path}: {name}: the network has no such cell or operation")
        return f"cells.{cell}.operations.{order[cell][number]}.{rest.replace('conv_', 'conv')}"
    if match := _FEATURES.fullmatch(name):
        return f"auxiliary_head.features.{_AUXILIARY.get(match[1], match[1])}.{match[2]}"
    return f"stem0.{name.removeprefix('stem.')}" if name.startswith("stem.") else our_name(name)


def load_official_network(network: GenasNetwork, path: Path, listing: Listing | None = None) -> None:
    """Load the weights of an official ImageNet or CIFAR network exactly.

    Args:
        network: of the same genotype, width, layers, stem and classes, with an auxiliary head if the file has one.
        path: the official file.
        listing: the genotype as the official code lists it; needed where a node's inputs are not in ascending order.

    Raises:
        GenasError: as :func:`read_official`; the listing is another genotype's; or a name or a shape differs, the first
            is named.
    """
    order = _positions(network, listing)
    load_state(network, {_our_network_name(n, order, path): value for n, value in read_official(path).items()}, path)


def official_network_state(network: GenasNetwork, listing: Listing | None = None) -> dict[str, Tensor]:
    """A network's state under the official names, its operations in the order of the listing."""
    order = _positions(network, listing)
    auxiliary = {ours: theirs for theirs, ours in _AUXILIARY.items()}

    def rename(name: str) -> str:
        if match := _OUR_OPERATION.fullmatch(name):
            place = order[int(match[1])].index(int(match[2]))
            return f"cells.{match[1]}._ops.{place}.{_inner(match[3])}"
        if match := _FEATURES.fullmatch(name):
            return f"auxiliary_head.features.{auxiliary[match[1]]}.{match[2]}"
        if network.stem_kind == "cifar" and name.startswith("stem0."):
            return f"stem.{name.removeprefix('stem0.')}"
        return official_name(name)

    return {rename(name): value for name, value in network.state_dict().items()}
