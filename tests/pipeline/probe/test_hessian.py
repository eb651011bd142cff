"""Eigenpairs, against matrices whose eigenvectors are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import linalg as sparse
from torch import Tensor, nn

from genas.pipeline.probe.hessian import Eigenpair, NotConvergedError, top_eigenpairs

ROTATION = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0].double()
VALUES = torch.tensor([0.5, -7.0, 3.0, 10.0, -1.0, 0.1], dtype=torch.float64)
MATRIX = ROTATION @ torch.diag(VALUES) @ ROTATION.T
SLOPE = torch.arange(1.0, 7.0, dtype=torch.float64)


class Quadratic(nn.Module):
    """0.5 x'Ax + b'x, x in parameters of which some may be unknown to it; at 0, and the same for every input."""

    def __init__(self, matrix: Tensor, slope: Tensor, known: list[nn.Parameter], unknown: list[nn.Parameter]) -> None:
        super().__init__()
        self.matrix, self.slope = matrix, slope
        self.known, self.unknown = nn.ParameterList(known), nn.ParameterList(unknown)

    def forward(self, inputs: Tensor) -> Tensor:
        x = torch.cat([parameter.flatten() for parameter in self.known])
        return (0.5 * x @ self.matrix @ x + self.slope @ x).expand(len(inputs))


def found(model: Quadratic, count: int, seed: int) -> list[Eigenpair]:
    far_below = torch.tensor([-1e3])  # so that the absolute difference is the output and a constant
    batch, generator = (torch.zeros(1), far_below), torch.Generator().manual_seed(seed)
    return top_eigenpairs(model, nn.L1Loss(), [*model.known, *model.unknown], batch, count, 60, generator)


def pairs(count: int, seed: int = 0) -> list[Eigenpair]:
    """With x in two parameters of 2x2 and 2 numbers."""
    known = [nn.Parameter(torch.zeros(2, 2, dtype=torch.float64)), nn.Parameter(torch.zeros(2).double())]
    return found(Quadratic(MATRIX, SLOPE, known, []), count, seed)


def flat(vector: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in vector])


def test_the_largest_come_first_whatever_their_sign() -> None:
    largest = pairs(3)
    assert [pair.value for pair in largest] == pytest.approx([10.0, -7.0, 3.0], rel=1e-3)
    for pair, column in zip(largest, (3, 1, 2), strict=True):
        assert [tuple(part.shape) for part in pair.vector] == [(2, 2), (2,)]
        assert float(flat(pair.vector).norm()) == pytest.approx(1)
        assert abs(float(flat(pair.vector) @ ROTATION[:, column])) == pytest.approx(1, abs=1e-3)


def test_vectors_are_orthogonal_and_point_uphill() -> None:
    vectors = torch.stack([flat(pair.vector) for pair in pairs(3)])
    assert (vectors @ vectors.T - torch.eye(3, dtype=torch.float64)).abs().max() < 1e-6
    assert (vectors @ SLOPE > 0).all()


def test_the_start_makes_no_difference() -> None:
    first, second = (flat(pairs(1, seed)[0].vector) for seed in (0, 1))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)
    assert flat(pairs(1)[0].vector).equal(first)


def test_a_parameter_that_the_loss_does_not_know_has_no_part() -> None:
    known, unknown = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(3))
    model = Quadratic(torch.diag(torch.tensor([2.0, 6.0])), torch.ones(2), [known], [unknown])
    (pair,) = found(model, 1, 0)
    assert pair.value == pytest.approx(6)
    assert pair.vector[1].tolist() == [0, 0, 0]
    assert pair.vector[0].tolist() == pytest.approx([0, 1], abs=1e-3)


def test_an_iteration_that_does_not_end_is_tried_in_a_larger_space(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int | None] = []
    real = sparse.eigsh

    def stuck(matrix: Any, count: int, **settings: Any) -> Any:
        sizes.append(settings.get("ncv"))
        if len(sizes) < tries:
            raise sparse.ArpackNoConvergence("stuck", np.array([]), np.array([]))
        return real(matrix, count, **settings)

    monkeypatch.setattr(sparse, "eigsh", stuck)
    tries = 2
    assert pairs(1)[0].value == pytest.approx(10, rel=1e-3)
    assert sizes == [None, 5]
    tries = 9
    with pytest.raises(NotConvergedError, match="did not converge in 60 restarts"):
        pairs(1)
