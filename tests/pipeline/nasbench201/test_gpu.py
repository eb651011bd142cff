"""The laboratory on a GPU, without one: from the data root to an epoch, its validation and every score."""

from __future__ import annotations

from genas.models.spaces.base.weights import save_weights
from genas.models.spaces.nasbench201.cell import Cell201
from genas.pipeline.config import load_params
from genas.pipeline.data.reading.halves import load_search_data
from genas.pipeline.nasbench201.measuring import make_scorer
from genas.pipeline.nasbench201.network import build
from genas.pipeline.nasbench201.supernet import fair
from genas.pipeline.probe.plain import Probe
from genas.pipeline.scoring.measuring import Request
from genas.pipeline.supernet.training import make_optimizer, train_epoch, validate
from genas.pipeline.supernet.weights import INITIAL, TRAINED
from tests.conftest import Tiny
from tests.fake_cuda import fake_cuda
from tests.pipeline.nasbench201.test_nasbench201 import MINI, ROW, with_laboratory

CELL = Cell201(("none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1", "skip_connect"))
"""Nothing reaches its first node, which is zero, and every operation is in it."""


def test_a_row_from_the_data_to_the_scores(tiny: Tiny) -> None:
    """Everything lies on the device of the context, and an epoch waits once."""
    noise = MINI["nasbench201"]["settings"]["noises"]["cells"] | {"draws": 1, "sigma": [1e-3, 2e-3]}
    names = ["flatness", "angle", "accuracy", "snip", "synflow"]
    with_laboratory(tiny, hessian=0, noises={"cells": noise}, measured=names)
    one_batch = {"images": 4, "recalibrate_images": 4, "zero_cost_images": 2}
    measures = load_params(tiny.root).nasbench201.required.measures.model_dump(mode="json") | one_batch
    tiny.change("nasbench201", settings__recipes__darts__cells=1, settings__recipes__darts__batch_size=32)
    tiny.change("nasbench201", settings__measures=measures | {"recalibrate": "official"})
    context = tiny.context("supernet201", **ROW)
    settings = context.params.nasbench201.required
    for name in (INITIAL, TRAINED):
        save_weights(context.out / name, build(context, 3))
    with fake_cuda() as gpu:
        context = tiny.context("supernet201", **ROW)
        assert context.device.type == "cuda"
        data, network = load_search_data(context, settings.recipes["darts"]), build(context, 3)
        optimizer = make_optimizer(network, settings.recipes["darts"])
        gpu.waits.clear()
        train_epoch(network, optimizer, data, settings.recipes["darts"], 0, 0, fair)
        validate(Probe(network, data, settings.measures, 0), [CELL])
        loss, *numbers = gpu.waits
        assert loss == "pipeline/supernet/training.py:train_epoch"
        assert numbers == ["pipeline/probe/plain.py:evaluate"] * 2  # loss and accuracy
        score = make_scorer(tiny.context("nasbench201", **ROW), Request(settings.measured), "fast")
        values = score(CELL)
    assert values["error"] == ""
    assert {name for name in values if name.startswith("trained_")} >= {"trained_snip", "trained_synflow"}
