"""Checkpoints of the official code (clovaai/GeNAS, train_supernet) in and out, by a map of names.

There, edges and operations are numbered: ``cells.0._ops.3._ops.4.op.1.weight`` is the fourth edge of the first cell
and the fifth primitive. Here they have names: ``cells.0.edges.1->3.sep_conv_3x3.1.weight``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoint import load_state
from models.errors import GenasError
from models.genotype import EDGES, PRIMITIVES
from models.supernet import Supernet

_EDGE = re.compile(r"cells\.(\d+)\._ops\.(\d+)\._ops\.(\d+)\.(?:op\.)?(.+)")
_PREPROCESS = re.compile(r"cells\.(\d+)\.(preprocess[01])\.(?:op\.)?(.+)")
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


def official_name(name: str) -> str:
    """The inverse of :func:`our_name` on the names of a supernet."""

    def inner(rest: str) -> str:
        """Sequences are called ``op`` there, the parts of a factorized reduction have names."""
        return f"op.{rest}" if rest[0].isdigit() else re.sub(r"^conv(\d)", r"conv_\1", rest)

    if match := _OUR_EDGE.fullmatch(name):
        cell, source, target, operation, rest = match.groups()
        edge, number = EDGES.index((int(source), int(target))), PRIMITIVES.index(operation)
        # Pooling and its BatchNorm stand in a plain sequence.
        return f"cells.{cell}._ops.{edge}._ops.{number}.{rest if 'pool' in operation else inner(rest)}"
    if match := _OUR_PREPROCESS.fullmatch(name):
        cell, which, rest = match.groups()
        return f"cells.{cell}.{which}.{inner(rest)}"
    return name


def read_official(path: Path) -> dict[str, Tensor]:
    """The state of an official supernet file, under its own names.

    Reads safetensors, and torch files ``{"epoch", "state_dict", "optimizer"}`` or plain states; nothing is unpickled
    beyond tensors and plain containers, and the prefix of data-parallel training is dropped.

    Raises:
        GenasError: missing, unreadable, or no state of tensors.
    """
    try:
        content = (
            load_file(str(path))
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError:
        raise GenasError(f"{path}: no such checkpoint") from None
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise GenasError(f"{path}: not a readable checkpoint ({type(error).__name__})") from None
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise GenasError(f"{path}: no state_dict of tensors in it")
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_official_supernet(network: Supernet, path: Path) -> None:
    """Load an official supernet's weights and statistics exactly.

    Raises:
        GenasError: as :func:`read_official`; or a name or a shape differs, the first is named.
    """
    load_state(network, {our_name(name): value for name, value in read_official(path).items()}, path)


def official_state(network: Supernet) -> dict[str, Tensor]:
    """A supernet's state under the official names."""
    return {official_name(name): value for name, value in network.state_dict().items()}
