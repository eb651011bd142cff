"""Eigenpairs by the power method, against matrices whose eigenvectors are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.hessian import Eigenpair, top_eigenpairs

ROTATION = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0].double()
VALUES = torch.tensor([0.5, -7.0, 3.0, 10.0, -1.0, 0.1], dtype=torch.float64)
MATRIX = ROTATION @ torch.diag(VALUES) @ ROTATION.T
SLOPE = torch.arange(1.0, 7.0, dtype=torch.float64)


def pairs(count: int, seed: int = 0) -> list[Eigenpair]:
    """Of 0.5 x'Ax + b'x at 0, x in two parameters of 2x2 and 2 numbers."""
    parameters = [torch.zeros(2, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)]
    for parameter in parameters:
        parameter.requires_grad_()
    x = torch.cat([parameter.flatten() for parameter in parameters])
    loss = 0.5 * x @ MATRIX @ x + SLOPE @ x
    return top_eigenpairs(loss, parameters, count, 60, torch.Generator().manual_seed(seed))


def flat(vector: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in vector])


def test_the_largest_come_first_whatever_their_sign() -> None:
    found = pairs(3)
    assert [pair.value for pair in found] == pytest.approx([10.0, -7.0, 3.0], rel=1e-3)
    for pair, column in zip(found, (3, 1, 2), strict=True):
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
    known, unknown = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    (pair,) = top_eigenpairs((known**2).sum(), [known, unknown], 1, 3, torch.Generator().manual_seed(0))
    assert pair.value == pytest.approx(2)
    assert pair.vector[1].tolist() == [0, 0, 0]
