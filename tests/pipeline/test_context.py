"""Where a stage runs."""

from __future__ import annotations

import pytest
import torch

from genas.models.errors import GenasError
from genas.pipeline.context import chosen_device
from tests.conftest import Tiny


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("nonsense", 0, "GENAS_DEVICE is 'nonsense', expected cpu, cuda or cuda:0"),
        ("cuda:x", 1, "GENAS_DEVICE is 'cuda:x', expected cpu, cuda or cuda:0"),
        ("meta", 0, "GENAS_DEVICE is 'meta', expected cpu, cuda or cuda:0"),
        ("cuda", 0, "GENAS_DEVICE is 'cuda', but this machine has 0 GPUs"),
        ("cuda:2", 2, "GENAS_DEVICE is 'cuda:2', but this machine has 2 GPUs"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, message: str
) -> None:
    monkeypatch.setenv("GENAS_DEVICE", device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(GenasError) as error:
        chosen_device()
    assert str(error.value) == message


def test_a_device_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("GENAS_DEVICE", "cuda:1")
    assert chosen_device() == torch.device("cuda:1")
    monkeypatch.setenv("GENAS_DEVICE", "cpu")
    assert chosen_device() == torch.device("cpu")


def test_a_seed_is_the_row_s_axis_of_its_kind_or_its_only_one(tiny: Tiny) -> None:
    def seeds(**axes: str) -> list[int]:
        context = tiny.context("search", dataset="small", **axes)
        return [context.seed(kind) for kind in ("supernet", "split", "noise", "seed")]

    assert seeds(seed="3") == [3, 3, 3, 3]
    assert seeds(supernet="1", noise="2", seed="3") == [1, 1, 2, 3], "a split is its supernet's"
    assert seeds(split="4", seed="3") == [3, 4, 3, 3]
