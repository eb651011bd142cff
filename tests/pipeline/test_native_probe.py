"""Scorer ``native`` beside scorer ``plain``: the same numbers under noise, and one line where it cannot work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.errors import GenasError
from models.genotype import random_genotype
from models.native import build
from pipeline.config import MeasureParams
from pipeline.fast_probe import FastProbe, make_probe
from tests.pipeline.test_measures import PARAMS, initial, search_data, supernet

NATIVE = PARAMS.model_copy(update={"scorer": "native"})


@pytest.mark.parametrize("recalibrate", ["exact", "official"])
def test_same_numbers_as_plain(recalibrate: str) -> None:
    try:
        build.load(8)
    except GenasError as error:
        pytest.skip(str(error))
    genotype, results = random_genotype(np.random.default_rng(0)), []
    noise = {"cells.0.preprocess0.1.weight": torch.full((2, 6, 1, 1), 0.1)}
    for settings in (PARAMS, NATIVE):
        chosen = settings.model_copy(update={"recalibrate": recalibrate})
        probe = make_probe(supernet(1), search_data(), chosen, 0, initial(0))
        assert isinstance(probe, FastProbe) == (settings is NATIVE)
        probe.recalibrate(genotype)
        results.append(probe.evaluate_under(genotype, [{}, noise]))
    assert np.allclose(*results, rtol=1e-4)


def test_no_compiler_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "COMPILER", "no-such-compiler")
    build.machine.cache_clear()
    build.load.cache_clear()
    with pytest.raises(GenasError, match="needs a C compiler"):
        make_probe(supernet(1), search_data(), NATIVE, 0)


def test_bfloat16_is_for_scorer_fast() -> None:
    with pytest.raises(ValidationError, match="scorer native computes in float32"):
        MeasureParams(**NATIVE.model_dump() | {"precision": "bfloat16"})
