"""A module's state on disk, exactly; what network the weights belong to is for :mod:`genas.models.networks.files` to
know."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from genas.models.errors import GenasError


def save_weights(path: Path, module: nn.Module, metadata: dict[str, str] | None = None) -> None:
    """Write a module's state as safetensors, whatever its device and memory format; same state, same bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, str(path), metadata=metadata)


def check_state(module: nn.Module, state: dict[str, torch.Tensor], origin: Path) -> None:
    """Return if a state is one of the module's; its own values do not matter, it may be on the device ``meta``.

    Raises:
        GenasError: a name, a shape or a type differs, or a value is not finite; the message names the file and the
            first difference.
    """
    expected = module.state_dict()
    for name in sorted(expected.keys() | state.keys()):
        if name not in expected or name not in state:
            raise GenasError(f"{origin}: {name} is {'missing' if name not in state else 'not in the network'}")
        tensor = state[name]
        if expected[name].shape != tensor.shape:
            raise GenasError(
                f"{origin}: {name} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
            )
        if expected[name].dtype != tensor.dtype:
            raise GenasError(f"{origin}: {name} has type {tensor.dtype}, expected {expected[name].dtype}")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise GenasError(f"{origin}: {name} has values that are not finite")


def load_state(module: nn.Module, state: dict[str, torch.Tensor], origin: Path) -> None:
    """Load a state exactly.

    Raises:
        GenasError: as :func:`check_state`.
    """
    check_state(module, state, origin)
    module.load_state_dict(state)
