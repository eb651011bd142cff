"""All parameters of a network as one vector, so that an optimizer's step is a few calls however many there are."""

from __future__ import annotations

from torch import Tensor, nn


def _view_like(vector: Tensor, parameter: Tensor) -> Tensor:
    """``vector`` in the shape and the layout in memory of a parameter."""
    return vector.as_strided(parameter.shape, parameter.stride(), vector.storage_offset())


def flatten(network: nn.Module) -> nn.Parameter:
    """Move a network's parameters and their gradients, zeros for now, into one vector each; returns the first.

    Parameters keep names, shapes and layouts and become views of the vector, their ``grad`` of its ``grad``. An
    optimizer of the vector, elementwise as SGD is, does to each parameter what it would do to it alone, unused ones
    included: their gradient is zero, not none. Clear it with ``zero_grad(set_to_none=False)``.
    """
    parameters = list(network.parameters())
    assert all(one.untyped_storage().nbytes() == one.numel() * one.element_size() for one in parameters)
    whole = nn.Parameter(parameters[0].new_empty(sum(one.numel() for one in parameters)))
    whole.grad = whole.data.new_zeros(len(whole))
    sizes = [one.numel() for one in parameters]
    for one, vector, gradient in zip(parameters, whole.data.split(sizes), whole.grad.split(sizes), strict=True):
        view = _view_like(vector, one)
        view.copy_(one.data)
        one.data, one.grad = view, _view_like(gradient, one)
    return whole
