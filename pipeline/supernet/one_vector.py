"""Parameters of a network as one vector, so that an optimizer's step is a few calls however many there are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def _view_like(vector: Tensor, parameter: Tensor) -> Tensor:
    """``vector`` in the shape and the layout in memory of a parameter."""
    return vector.as_strided(parameter.shape, parameter.stride(), vector.storage_offset())


def flatten(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """Move parameters of a network and their gradients, zeros for now, into one vector each; returns the first.

    Parameters keep names, shapes and layouts and become views of the vector, their ``grad`` of its ``grad``. An
    optimizer of the vector, elementwise as SGD is, does to each parameter what it would do to it alone, unused ones
    included: their gradient is zero, not none. Clear it with ``zero_grad(set_to_none=False)``.
    """
    assert all(p.untyped_storage().nbytes() == p.numel() * p.element_size() for p in parameters), "parameters are dense"
    sizes = [parameter.numel() for parameter in parameters]
    flat = nn.Parameter(parameters[0].new_empty(sum(sizes)))
    flat.grad = flat.data.new_zeros(len(flat))
    for parameter, values, gradient in zip(parameters, flat.data.split(sizes), flat.grad.split(sizes), strict=True):
        view = _view_like(values, parameter)
        view.copy_(parameter.data)
        parameter.data, parameter.grad = view, _view_like(gradient, parameter)
    return flat
