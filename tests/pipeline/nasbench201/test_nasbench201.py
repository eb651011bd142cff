"""The laboratory's first two stages: a supernet of NAS-Bench-201, and what is measured in it."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from genas.models.errors import GenasError
from genas.models.spaces.nasbench201.cell import EDGES, OPERATIONS, Cell201, all_cells
from genas.models.spaces.nasbench201.cost import nasbench201_cost
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline import measures
from genas.pipeline.config import PROFILES, load_params
from genas.pipeline.forecast.light import DISTINCT201
from genas.pipeline.nasbench201 import measuring as nasbench201
from genas.pipeline.nasbench201 import supernet as supernet201
from genas.pipeline.nasbench201.measuring import distinct, pruned, sample, settings_of, told_of
from genas.pipeline.nasbench201.supernet import DRAWS, fair
from genas.pipeline.probe.fast import make_probe
from genas.pipeline.probe.hessian import NotConvergedError
from genas.pipeline.scoring import readings
from tests.conftest import Killed, Tiny, kill_at
from tests.pipeline.measures.test_measures import PARAMS, search_data

MINI: dict[str, Any] = yaml.safe_load((PROFILES["mini"] / "params.yaml").read_text())
ROW = {"dataset": "small", "recipe": "darts", "seed": "0"}
RLNAS = {**ROW, "recipe": "rlnas"}
RUN = {"dataset": "small", "recipe": "darts", "seed": 0}
COUNT = 10
SMALL = MINI["nasbench201"]["settings"]["recipes"]["darts"] | {
    "channels": 4,
    "epochs": 2,
    "batch_size": 16,
    "train_share": 0.5,
    "validate_images": 16,
}
"""How a supernet is trained in seconds."""


def with_laboratory(tiny: Tiny, **settings: Any) -> Tiny:
    """The tiny profile with a run of the laboratory."""
    small = copy.deepcopy(MINI["nasbench201"]["settings"])
    small["recipes"] = {"darts": SMALL}
    small["measures"] |= {
        "images": 16,
        "recalibrate_images": 16,
        "recalibrate_batch_size": 8,
        "batch_size": 8,
        "zero_cost_images": 4,
    }
    small["measures"]["flatness"] |= {"hessian_iterations": 5}
    small |= {"architectures": COUNT, "hessian": 2, "top": 3, "bootstrap": 20}
    small |= {"permutations": 5, "labels": [8, 16], "forests": 2}
    small["search"] |= {"walks": 2, "population": 3, "generations": 2, "mutated": 1, "crossed": 1, "tournament": 2}
    tiny.change(
        "nasbench201",
        runs={f"small-darts-{seed}": {"dataset": "small", "recipe": "darts", "seed": seed} for seed in (0, 1)},
        laboratory={"small-darts": {"dataset": "small", "recipe": "darts", "truths": ["cifar10", "cifar100"]}},
        settings=small | settings,
    )
    return tiny


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Tiny:
    """A profile whose first run is measured; read only."""
    from tests.conftest import make_tiny

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(small_data))
        tiny = with_laboratory(make_tiny(tmp_path_factory.mktemp("laboratory")))
        supernet201.run(tiny.context("supernet201", **ROW))
        nasbench201.run(tiny.context("nasbench201", **ROW))
    return tiny


def scores(tiny: Tiny) -> pd.DataFrame:
    return pd.read_parquet(tiny.root / "out/nasbench201/small-darts-0/scores.parquet")


def die_at(number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the reading of so many architectures in all be cut off once; returns a list that has one entry for each that
    was begun."""
    started: list[str] = []
    real = readings.attempt

    def fatal(take: Any, names: Any) -> Any:
        started.append("")
        if len(started) == number:
            raise Killed
        return real(take, names)

    monkeypatch.setattr(readings, "attempt", fatal)
    return started


# ---- which architectures --------------------------------------------------------------------------------------------


def test_the_sample_has_one_architecture_of_each_stratum() -> None:
    costs = [nasbench201_cost(cell).params for cell in sample(None)]
    assert len(costs) == 15625
    assert costs == sorted(costs)
    place = {cell: i for i, cell in enumerate(sample(None))}
    places = [place[cell] for cell in sample(100)]
    bounds = [i * 15625 // 100 for i in range(101)]
    assert all(low <= p < high for low, p, high in zip(bounds, places, bounds[1:], strict=False))
    assert sample(100) == sample(100)
    with pytest.raises(GenasError, match="architectures: 15626 of 15625"):
        sample(15626)


def test_fair_rounds_train_every_operation_of_every_edge_once() -> None:
    paths = fair(np.random.default_rng(0))
    for _ in range(3):
        turn = [next(paths) for _ in OPERATIONS]
        for edge in range(len(EDGES)):
            assert {cell.operations[edge] for cell in turn} == set(OPERATIONS)
    assert [next(fair(np.random.default_rng(s))) for s in (0, 1)] == [
        next(fair(np.random.default_rng(s))) for s in (0, 1)
    ]


def test_uniform_paths_are_uniform() -> None:
    paths = DRAWS["uniform"](np.random.default_rng(0))
    drawn = [next(paths) for _ in range(2000)]
    for edge in range(len(EDGES)):
        counts = [sum(cell.operations[edge] == name for cell in drawn) for name in OPERATIONS]
        assert all(330 < count < 470 for count in counts)  # 400 expected, four standard deviations
    assert set(drawn) <= set(all_cells())


def test_snapshots_are_the_weights_on_the_way_whether_it_was_killed_or_not(tiny: Tiny) -> None:
    with_laboratory(tiny, recipes={"darts": SMALL | {"epochs": 4, "snapshots": [1, 3]}})
    folder, context = tiny.root / "out/supernet201/small-darts-0", tiny.context("supernet201", **ROW)
    supernet201.run(context)
    names = ("trained.safetensors", "snapshots/1.safetensors", "snapshots/3.safetensors")
    whole = {name: (folder / name).read_bytes() for name in names}
    assert len(set(whole.values())) == 3
    assert sorted(path.name for path in (folder / "snapshots").iterdir()) == ["1.safetensors", "3.safetensors"]
    shutil.rmtree(folder / "snapshots")
    with pytest.raises(Killed):
        supernet201.run(tiny.context("supernet201", kill_at(3), **ROW))
    assert list((folder / "snapshots").iterdir()) == []
    supernet201.run(context)
    assert {name: (folder / name).read_bytes() for name in names} == whole


def test_balanced_paths_are_as_often_shallow_as_deep() -> None:
    drawn = [cell for cell, _ in zip(DRAWS["balanced"](np.random.default_rng(0)), range(900), strict=False)]
    depths = [max(cell.depth, 1) for cell in drawn]
    assert all(240 < depths.count(depth) < 360 for depth in (1, 2, 3))  # 300 expected, four standard deviations
    uniform = [max(cell.depth, 1) for cell in all_cells()]
    assert uniform.count(3) < len(uniform) / 10


def test_snapshots_come_before_the_end(tiny: Tiny) -> None:
    for snapshots in ([2], [1, 1], [3]):
        with_laboratory(tiny, recipes={"darts": SMALL | {"snapshots": snapshots}})
        with pytest.raises(GenasError, match=r"snapshots: epochs before the last \(2\), each once, in their order"):
            load_params(tiny.root)


# ---- what is measured -----------------------------------------------------------------------------------------------


def test_branches_that_change_nothing_are_removed() -> None:
    """Node 1 leads nowhere; or nothing leads to it, and a convolution of nothing still has a bias."""
    nowhere = Cell201(("nor_conv_3x3", "skip_connect", "none", "none", "none", "nor_conv_1x1"))
    assert pruned(nowhere) == Cell201(("none", "skip_connect", "none", "none", "none", "nor_conv_1x1"))
    nothing = Cell201(("none", "skip_connect", "avg_pool_3x3", "none", "nor_conv_3x3", "nor_conv_1x1"))
    assert pruned(nothing) == Cell201(("none", "skip_connect", "none", "none", "nor_conv_3x3", "nor_conv_1x1"))
    assert pruned(Cell201(("nor_conv_3x3",) * 3 + ("none",) * 3)) == Cell201(("none",) * 6)
    everything = list(all_cells())
    assert len(distinct(everything)) == DISTINCT201
    assert all(pruned(cell) == cell for cell in distinct(everything))
    assert all(pruned(cell) == cell for cell in everything if len(cell.live) == len(cell.edges))


@pytest.mark.parametrize("scorer", ["plain", "fast", "native"])
def test_what_is_left_of_an_architecture_computes_the_same(scorer: str) -> None:
    if scorer == "native" and not shutil.which("cc"):
        pytest.skip("no C compiler")
    torch.manual_seed(0)
    network, initial = NasBench201(4, 2, 1), NasBench201(4, 2, 1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)
    probe = make_probe(network, search_data(), PARAMS.model_copy(update={"scorer": scorer}), 0, initial)
    changed = [cell for cell in all_cells() if pruned(cell) != cell]
    for cell in np.random.default_rng(0).choice(np.array(changed, dtype=object), 6, replace=False):
        names = ("flatness", "accuracy", "angle", "synflow", "grad_norm", "jacov")
        assert measures.take(probe, cell, names) == measures.take(probe, pruned(cell), names)


def test_an_architecture_has_the_readings_of_what_is_left_and_its_own_cost() -> None:
    whole = Cell201(("nor_conv_3x3", "skip_connect", "none", "none", "none", "nor_conv_1x1"))
    cells = [whole, pruned(whole), Cell201(("none",) * 6)]
    assert distinct(cells) == cells[1:]
    stored = pd.DataFrame({"architecture": [str(cell) for cell in cells[1:]], "loss": [1.0, 2.0], "params": [5.0, 6.0]})
    table = told_of(cells, stored)
    assert table["architecture"].tolist() == [str(cell) for cell in cells]
    assert table["loss"].tolist() == [1, 1, 2]
    assert table["params"].tolist() == [nasbench201_cost(cell).params for cell in cells]
    assert "macs" not in table


def test_every_noise_and_measure_is_stored(measured: Tiny) -> None:
    table = scores(measured)
    settings = load_params(measured.root).nasbench201.required
    assert [Cell201.parse(text) for text in table["architecture"]] == sample(COUNT)
    for noise, about in settings.noises.items():
        for draw in range(about.draws):
            for i in range(len(about.sigma)):
                assert table[f"{noise}_{draw}_{i}"].notna().all()
    assert table["hessian_0_2"].notna().sum() == 2
    for name in (*settings.measured, "loss", "accuracy_as_trained", "loss_as_trained", "trained_naswot"):
        assert np.isfinite(table[name]).all()
    assert (table["params"] == [nasbench201_cost(cell).params for cell in sample(COUNT)]).all()
    # The smallest noise changes next to nothing; recalibration changes a good deal.
    assert table["curve_0_0"].to_numpy() == pytest.approx(table["loss"].to_numpy(), abs=1e-4)
    assert (table["loss_as_trained"] - table["loss"]).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("scorer", ["plain", "fast"])
def test_all_scorers_measure_the_same(measured: Tiny, tiny: Tiny, scorer: str) -> None:
    """``auto`` has measured what these are compared with: the native one, where there is a compiler."""
    with_laboratory(tiny)
    tiny.change("nasbench201", settings__measures__scorer=scorer, settings__hessian=0)
    (tiny.root / "out/supernet201").symlink_to(measured.root / "out/supernet201")
    nasbench201.run(tiny.context("nasbench201", **ROW))
    own, other = scores(tiny), scores(measured)
    both = own.merge(other, on="architecture")
    assert len(own) == 10
    for name in ("loss", "curve_0_7", "relative_0_3", "loss_as_trained", "angle"):
        assert both[f"{name}_x"].to_numpy() == pytest.approx(both[f"{name}_y"].to_numpy(), rel=1e-4, abs=1e-5)


@pytest.fixture
def by_rlnas(tiny: Tiny) -> Tiny:
    """The tiny profile with a trained supernet of RLNAS's recipe."""
    with_laboratory(tiny)
    recipe = MINI["nasbench201"]["settings"]["recipes"]["rlnas"]
    changed = {"channels": 4, "epochs": 2, "batch_size": 16, "split": "random", "train_share": 0.5}
    run = {"dataset": "small", "recipe": "rlnas", "seed": 0}
    tiny.change("nasbench201", settings__recipes={"rlnas": {**recipe, **changed, "validate_images": 16}})
    tiny.change(
        "nasbench201", runs={"small-rlnas-0": run}, laboratory={}, settings__architectures=10, settings__hessian=0
    )
    supernet201.run(tiny.context("supernet201", **RLNAS))
    return tiny


def test_a_supernet_by_rlnas_s_recipe_has_no_affine_weights_in_its_cells(by_rlnas: Tiny) -> None:
    weights = load_file(by_rlnas.root / "out/supernet201/small-rlnas-0/trained.safetensors")
    assert {name for name in weights if ".edges." in name and name.endswith("2.weight")} == set()
    assert "cells.1.conv_a.2.weight" in weights


@pytest.mark.slow
def test_all_scorers_measure_the_same_without_affine_weights(by_rlnas: Tiny) -> None:
    tables = []
    for scorer in ("plain", "fast", "auto"):
        by_rlnas.change("nasbench201", settings__measures__scorer=scorer)
        nasbench201.run(by_rlnas.context("nasbench201", **RLNAS))
        tables.append(pd.read_parquet(by_rlnas.root / "out/nasbench201/small-rlnas-0/scores.parquet"))
    for name in ("loss", "curve_0_7", "relative_0_3", "loss_as_trained", "angle"):
        for table in tables[1:]:
            assert tables[0][name].to_numpy() == pytest.approx(table[name].to_numpy(), rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_a_killed_run_loses_one_architecture_and_ends_with_the_same_bytes(
    measured: Tiny, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_laboratory(tiny)
    (tiny.root / "out/supernet201").symlink_to(measured.root / "out/supernet201")
    started = die_at(6, monkeypatch)
    with pytest.raises(Killed):
        nasbench201.run(tiny.context("nasbench201", **ROW))
    nasbench201.run(tiny.context("nasbench201", **ROW))
    assert len(started) == len(distinct(sample(COUNT))) + 1
    name = "out/nasbench201/small-darts-0/scores.parquet"
    assert (tiny.root / name).read_bytes() == (measured.root / name).read_bytes()


@pytest.mark.slow
def test_an_iteration_that_does_not_end_leaves_one_architecture_out(
    measured: Tiny, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_laboratory(tiny)
    (tiny.root / "out/supernet201").symlink_to(measured.root / "out/supernet201")
    real, asked = readings.draw_losses, []

    def stuck(probe: Any, cell: Any, params: Any) -> Any:
        asked.append(params.flatness.direction)
        if params.flatness.direction == "hessian" and asked.count("hessian") == 1:
            raise NotConvergedError("the Hessian's eigenvectors did not converge")
        return real(probe, cell, params)

    monkeypatch.setattr(readings, "draw_losses", stuck)
    metrics = nasbench201.run(tiny.context("nasbench201", **ROW))
    own, other = scores(tiny), scores(measured)
    assert metrics["left_out"] == 1
    assert (own["hessian_0_0"].notna().sum(), other["hessian_0_0"].notna().sum()) == (1, 2)
    assert own["hessian_error"].dropna().tolist() == ["the Hessian's eigenvectors did not converge"]
    pd.testing.assert_series_equal(own["loss"], other["loss"])


@pytest.mark.slow
def test_a_snapshot_is_measured_as_the_end_is(measured: Tiny, tiny: Tiny) -> None:
    """The weights of the end, put where a snapshot lies, measure what they measure at the end, as far as they are
    asked; the losses under noise are those of the same deviations there."""
    with_laboratory(tiny, recipes={"darts": SMALL | {"snapshots": [1]}})
    tiny.change("nasbench201", snapshots={"small-darts-0-1": {**RUN, "epoch": 1}})
    (tiny.root / "out/supernet201").mkdir(parents=True)
    folder = tiny.root / "out/supernet201/small-darts-0"
    shutil.copytree(measured.root / "out/supernet201/small-darts-0", folder)
    (folder / "snapshots").mkdir(exist_ok=True)
    (folder / "trained.safetensors").rename(folder / "snapshots/1.safetensors")
    nasbench201.run(tiny.context("snapshots201", **ROW, epoch="1"))
    found = pd.read_parquet(tiny.root / "out/snapshots201/small-darts-0-1/scores.parquet")
    settings = load_params(measured.root).nasbench201.required
    places = {
        f"curve_0_{i}": f"curve_0_{settings.noises['curve'].sigma.index(sigma)}"
        for i, sigma in enumerate(settings.measures.flatness.sigma)
    }
    assert {*places, *settings.brief} < set(found)
    own = scores(measured)[[places.get(name, name) for name in found]].set_axis(list(found), axis=1)
    pd.testing.assert_frame_equal(found, own)


def test_the_whole_space_is_measured_in_brief(tiny: Tiny) -> None:
    with_laboratory(tiny)
    tiny.change("nasbench201", spaces={"small-darts-0": RUN})
    settings = settings_of(load_params(tiny.root), "space201")
    assert settings.architectures is None
    assert settings.measured == ("accuracy", "angle", "params", "macs")
    assert settings.noises == {"curve": settings.measures.flatness}
    assert settings.hessian == 0


@pytest.mark.slow
def test_two_workers_leave_the_same_bytes(measured: Tiny, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    with_laboratory(tiny)
    (tiny.root / "out/supernet201").symlink_to(measured.root / "out/supernet201")
    monkeypatch.setenv("GENAS_WORKERS", "2")
    nasbench201.run(tiny.context("nasbench201", **ROW))
    name = "out/nasbench201/small-darts-0/scores.parquet"
    assert (tiny.root / name).read_bytes() == (measured.root / name).read_bytes()


def test_a_torn_line_is_cut_off(measured: Tiny, tiny: Tiny) -> None:
    from genas.pipeline.machine.resume import Scratch

    with_laboratory(tiny)
    scratch = Scratch(tiny.context("supernet201", **ROW))
    scratch.append("lines", {"a": 1.5, "b": "x"})
    with (scratch.folder / "lines").open("a") as stream:
        stream.write('{"a": 2')
    assert scratch.records("lines") == [{"a": 1.5, "b": "x"}]
    scratch.append("lines", {"a": 3})
    assert scratch.records("lines") == [{"a": 1.5, "b": "x"}, {"a": 3}]
    assert scratch.records("none") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": {"small-1": RUN}}, "runs.small-1 is named small-darts-0"),
        ({"runs": {"small-new-0": {**RUN, "recipe": "new"}}}, "small-new-0: unknown recipe 'new', defined are darts"),
        ({"runs": {}}, "laboratory.small-darts: no run has this data set and recipe"),
        ({"laboratory": {"small": {**RUN, "truths": ["cifar10"]}}}, "laboratory.small.seed: unknown key"),
        ({"settings": None}, "settings are needed for runs"),
        ({"spaces": {"small": RUN}}, "spaces.small is named small-darts-0"),
        ({"spaces": {"small-darts-7": {**RUN, "seed": 7}}}, "spaces.small-darts-7: no run has this data set, recipe a"),
        ({"snapshots": {"small-darts-0": {**RUN, "epoch": 1}}}, "snapshots.small-darts-0 is named small-darts-0-1"),
        ({"snapshots": {"small-darts-0-1": {**RUN, "epoch": 1}}}, "recipe darts keeps no snapshot of epoch 1"),
        ({"snapshots": {"small-darts-7-1": {**RUN, "seed": 7, "epoch": 1}}}, "no run has this data set, recipe and se"),
        ({"runs": {"other-darts-0": {**RUN, "dataset": "other"}}, "laboratory": {}}, "unknown data set 'other'"),
        ({"settings__recipes__darts__split": "file"}, "train_share says nothing with file"),
    ],
)
def test_wrong_settings_are_refused(tiny: Tiny, change: dict[str, Any], message: str) -> None:
    with_laboratory(tiny).change("nasbench201", **change)
    with pytest.raises(GenasError, match=message):
        load_params(tiny.root)
