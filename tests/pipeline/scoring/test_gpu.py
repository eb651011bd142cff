"""Scoring on a GPU, without one: devices are not mixed, and the host waits for results alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from genas.pipeline import measures
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.probe.fast import make_probe
from tests.fake_cuda import FakeCuda, fake_cuda
from tests.pipeline.measures.test_measures import OneShot, params, path, search_data, supernet

RESULT = {
    "flatness": "pipeline/measures/flatness.py:observe",
    "accuracy": "pipeline/measures/accuracy.py:observe",
    "naswot": "pipeline/measures/naswot.py:measure",
}
"""Where each measure's numbers leave the device, once a candidate."""


@pytest.fixture(scope="module")
def there() -> Iterator[tuple[FakeCuda, OneShot[Any], SearchData]]:
    """The device, with a supernet and images."""
    network, data = supernet(), search_data(6)
    with fake_cuda() as gpu:
        yield gpu, network.to("cuda"), SearchData(*(half.to("cuda") for half in data[:4]), data.num_classes)


def waits(there: tuple[FakeCuda, OneShot[Any], SearchData], names: tuple[str, ...], **settings: Any) -> list[str]:
    """Measure an architecture; returns what made the host wait."""
    gpu, network, data = there
    flat = {name: settings.pop(name) for name in ("noise", "magnitude", "draws") if name in settings}
    changed = params(sigma=(0.01, 0.02), **flat).model_copy(update=settings)
    gpu.waits.clear()
    measures.take(make_probe(network, data, changed, 0, network), path(0), names)
    return gpu.waits


@pytest.mark.parametrize(
    "settings",
    [
        {"scorer": "fast", "precision": "bfloat16", "noise": "cumulative", "magnitude": "relative"},
        {"scorer": "plain", "recalibrate": "official", "batch_size": 3},
    ],
    ids=["fast", "plain"],
)
def test_a_candidate_waits_for_the_numbers_of_each_measure_alone(there: Any, settings: dict[str, Any]) -> None:
    assert waits(there, tuple(RESULT), **settings) == list(RESULT.values())


@pytest.mark.parametrize("scorer", ["plain", "fast"])
def test_exact_recalibration_waits_for_nothing(there: Any, scorer: str) -> None:
    assert waits(there, ("accuracy",), scorer=scorer, recalibrate="exact") == [RESULT["accuracy"]]


def test_sums_over_tensors_wait_once_a_tensor(there: Any) -> None:
    assert set(waits(there, ("angle", "snip", "grad_norm"), scorer="fast")) == {
        "pipeline/measures/angle.py:angle",
        "pipeline/measures/snip.py:<genexpr>",
        "pipeline/measures/grad_norm.py:<genexpr>",
    }
