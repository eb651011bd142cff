"""The work of rows against cases worked by hand; costs against the counters that the project has already."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from genas.models.networks.published import zoo_genotype
from genas.models.spaces.darts.cost import network_cost as counted
from genas.models.spaces.nasbench201.cell import all_cells
from genas.models.spaces.nasbench201.cost import nasbench201_cost
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline.config import PROFILES, load_params
from genas.pipeline.data.reading.layouts import split_file
from genas.pipeline.forecast import scoring
from genas.pipeline.forecast.count import cell_cost, cost_of, path_cost
from genas.pipeline.forecast.plan import PUBLISHED
from genas.pipeline.forecast.scoring import flatness_passes, loads, passes
from genas.pipeline.forecast.supernets import halves_of, space_of
from genas.pipeline.forecast.transfer import detector_size
from genas.pipeline.forecast.work import (
    BACKWARD,
    BASE,
    Cost,
    Images,
    Load,
    Profile,
    Work,
    forecast_of,
    load,
    training_memory,
)
from genas.pipeline.stages import STAGES

COST = Cost(flops=10, traffic=100, calls=7, maps=50, weights=3)


def profile_of(name: str, **sets: Images) -> Profile:
    """A profile with data sets of these sizes."""
    return Profile(load_params(PROFILES[name]), sets)


@pytest.fixture(scope="module")
def demo() -> Profile:
    sizes = {"digits": Images(1000, 300, 10), "digits_shift": Images(0, 90, 10)}
    return profile_of("demo", **sizes, digit_scenes=Images(240, 60, 10), digit_streets=Images(240, 60, 11))


def kinds(work: Work) -> dict[str, Load]:
    """Loads by the first words of their kind."""
    return {part.kind.partition(" (")[0].partition(",")[0]: part for part in work.loads}


def test_a_load_is_its_images_and_what_each_batch_brings() -> None:
    made = load("x", COST, images=20, batch=5, passes=3)
    assert made == Load("x", 4, 20, flops=3 * 10 * 20, traffic=3 * (100 * 20 + 4 * 3 * 4), calls=3 * 7 * 4)
    assert load("x", COST, 20, 5, 3, half=True).traffic == made.traffic / 2


def test_training_keeps_the_maps_of_a_batch_and_copies_of_the_weights() -> None:
    assert training_memory(COST, 8, copies=3) == BASE + 50 * 8 + 4 * 3 * 3
    assert training_memory(COST, 8, copies=3, half=True) == BASE + 50 * 8 / 2 + 4 * 3 * 3


def test_work_adds_its_loads_up() -> None:
    work = Work((Load("a", 1, 2, 3), Load("b", 10, 20, 30)))
    assert (work.steps, work.images, work.flops) == (11, 22, 33)


def test_a_supernet_trains_its_half_and_validates_paths(demo: Profile) -> None:
    """The demo: 10 epochs of 70 % of the images in batches of 32, 4 paths twice on 256 + 128 images."""
    work = forecast_of("supernet").work(demo, ("supernet", "digits-0"))
    step, look = work.loads
    cost = path_cost("darts", 8, 3, 32)
    assert (step.images, step.steps) == (10 * 700, 10 * 700 / 32)
    assert step.flops == BACKWARD * cost.flops * 10 * 700
    assert look.images == 2 * 4 * (256 + 128)
    assert work.disk == 2 * 4 * cost.weights


def test_a_split_file_says_how_many_images_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not here: NAS-Bench-201 halves the training images of CIFAR-10, and of ImageNet16-120 those of the
    validation. ``demo`` has no such rows, the root has."""
    monkeypatch.setenv("GENAS_DATA", str(tmp_path))
    profile = profile_of("paper", **{name: PUBLISHED[name] for name in ("cifar10", "cifar100", "imagenet16_120")})
    rows = {row: axes["dataset"] for row, axes in STAGES["supernet201"].rows(profile.params).items()}
    halves = {name: halves_of(profile, ("supernet201", row)) for row, name in rows.items()}
    assert halves["cifar10"] == (25_000, 25_000)
    assert halves["imagenet16_120"] == (151_700, 3_000)
    path = split_file(profile.params.data["cifar10"])
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"train": ["int", ["0", "2", "5"]], "valid": ["int", ["1", "3"]]}))
    row = next(row for row, name in rows.items() if name == "cifar10")
    assert halves_of(profile, ("supernet201", row)) == (3, 2)
    work = forecast_of("supernet201").work(profile, ("supernet201", row))
    recipe = profile.params.nasbench201.required.recipes[STAGES["supernet201"].rows(profile.params)[row]["recipe"]]
    assert work.loads[0].images == recipe.epochs * 3


def test_a_supernet_on_imagenet_reads_what_it_trains_on_from_files() -> None:
    """50 epochs of 98 % of the images in batches of 512; 16 paths five times on 5,000 + 896 images, decoded once; a
    search on 25,000 + 896. Only those lie in memory."""
    paper = profile_of("paper", imagenet=PUBLISHED["imagenet"])
    work = forecast_of("supernet").work(paper, ("supernet", "imagenet-0"))
    step, look, decoding = work.loads
    cost, train = path_cost("darts", 48, 14, 224, "imagenet"), int(0.98 * 1_281_167)
    assert (step.images, step.steps) == (50 * train, 50 * train / 512)
    assert (step.files, step.workers) == (50 * train, 8)
    assert step.flops == pytest.approx(BACKWARD * cost.flops * 50 * train)
    assert 2 * 0.4e9 < cost.flops < 2 * 0.6e9  # near the 0.6 G multiply-adds that bound the search
    assert look.images == 5 * 16 * (5000 + 896)
    assert (decoding.kind, decoding.files) == ("decoding, 224 px", 5000 + 896)
    assert work.memory == training_memory(cost, 512, 4) + 4 * 3 * 224**2 * (5000 + 896)
    found = kinds(forecast_of("search").work(paper, ("search", "imagenet-flatness-0")))
    assert found["decoding"].files == 25_000 + 896
    assert found["flatness"].images == 1000 * 3 * 25_000


def test_flatness_passes_the_images_for_each_sigma_of_each_draw(demo: Profile) -> None:
    flatness = demo.params.measures.flatness
    assert flatness_passes(flatness) == 3
    assert flatness_passes(flatness.model_copy(update={"draws": 4})) == 12


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["accuracy", "loss"], {"accuracy": 1}),  # which keeps the loss
        (["loss", "accuracy"], {"loss": 1, "accuracy": 1}),
        (["flatness", "angle"], {"flatness": 3, "angle": 0}),
        (["expressivity", "progressivity"], {"expressivity": 0}),
    ],
)
def test_what_a_measure_keeps_is_not_taken_twice(demo: Profile, names: list[str], expected: dict[str, int]) -> None:
    assert passes(names, demo.params.measures) == expected


def test_a_search_recalibrates_once_and_passes_the_images_sigmas_times(demo: Profile) -> None:
    """5 generations of 12: each 128 images of recalibration, 3 x 128 of flatness, an angle."""
    found = kinds(forecast_of("search").work(demo, ("search", "digits-angle_flatness-0")))
    assert {name: part.images for name, part in found.items()} == {
        "recalibration": 60 * 128,
        "angle": 60,
        "flatness": 60 * 3 * 128,
    }
    assert found["flatness"].flops == 60 * 3 * 128 * path_cost("darts", 8, 3, 32).flops
    assert found["angle"].flops == 0


def test_a_cell_that_is_not_searched_for_is_one_candidate(demo: Profile) -> None:
    none = {"flatness": demo.params.metrics["flatness"].model_copy(update={"strategy": "none"})}
    drawn = dataclasses.replace(demo, params=demo.params.model_copy(update={"metrics": none}))
    found = kinds(forecast_of("search").work(drawn, ("search", "digits-flatness-0")))
    assert found["flatness"].images == 3 * 128


def test_held_out_images_are_no_more_than_there_are(demo: Profile) -> None:
    small = dataclasses.replace(demo, sets={"digits": Images(100, 10, 10)})
    found = kinds(forecast_of("search").work(small, ("search", "digits-accuracy-0")))
    assert (found["accuracy"].images, found["recalibration"].images) == (60 * 30, 60 * 70)


def test_the_plain_scorer_recalibrates_for_every_measure(demo: Profile) -> None:
    space = space_of(demo, ("search", "digits-flatness-0"))
    plain = space._replace(measures=space.measures.model_copy(update={"scorer": "plain"}))
    first = loads(["flatness", "accuracy"], 10, plain, 700, 300)[0]
    assert first.images == 2 * 10 * 128


def test_the_agreement_adds_replicates_of_flatness(demo: Profile) -> None:
    """8 architectures by all measures; then 3 replicates x 2 architectures x 2 draws x 3 sigmas x (64 + 256) images."""
    found = kinds(forecast_of("agreement").work(demo, ("agreement", "digits-0")))
    assert found["flatness"].images == 8 * 3 * 128 + 3 * 2 * 2 * 3 * (64 + 256)
    assert found["recalibration"].images == 8 * 128 + 2 * 3 * 2 * 128
    assert found["accuracy"].images == 8 * 128


def test_the_laboratory_measures_every_noise() -> None:
    """120 architectures: 9 + 3 + 2 x 3 + 4 sigmas, and 3 along the Hessian of 20 of them."""
    mini = profile_of("mini", cifar10=Images(50_000, 10_000, 10))
    found = kinds(forecast_of("nasbench201").work(mini, ("nasbench201", "cifar10-darts-0")))
    assert found["flatness"].images == (120 * 22 + 20 * 3) * 400
    assert found["accuracy"].images == 2 * 120 * 400  # as trained, and recalibrated
    assert found["recalibration"].images == 120 * 512
    assert found[scoring.HESSIAN].images == 20
    assert found["snip"].images == 2 * 120  # before training and after


def test_retraining_trains_and_validates_each_epoch(demo: Profile) -> None:
    work = forecast_of("retrain").work(demo, ("retrain", "darts"))
    step, look = work.loads
    epochs = demo.params.recipes[demo.params.rows["darts"].recipe].epochs
    assert (step.images, look.images) == (epochs * 1000, epochs * 300)
    assert step.flops / step.images == 3 * look.flops / look.images
    assert step.files == 0  # digits lie in memory


def test_photographs_are_read_from_files() -> None:
    paper = profile_of("paper", imagenet=PUBLISHED["imagenet"])
    step, look = forecast_of("retrain").work(paper, ("retrain", "genas_flatness_c100")).loads
    assert (step.images, step.files, step.workers, step.half) == (250 * 1_281_167, 250 * 1_281_167, 8, True)
    assert look.files == 250 * 50_000


def test_shift_sees_the_validation_images_and_the_shifted_ones(demo: Profile) -> None:
    assert forecast_of("shift").work(demo, ("shift", "darts")).images == 300 + 90


def test_a_curve_sees_some_images_without_noise_and_under_each(demo: Profile) -> None:
    """The demo: 200 images once, and 3 draws of 4 sigmas; of 150 images no more than there are."""
    work = forecast_of("curvature").work(demo, ("curvature", "flatness"))
    assert work.images == (1 + 3 * 4) * 200
    assert work.flops == work.images * forecast_of("shift").work(demo, ("shift", "flatness")).flops / (300 + 90)
    small = dataclasses.replace(demo, sets={**demo.sets, "digits": Images(1000, 150, 10)})
    assert forecast_of("curvature").work(small, ("curvature", "flatness")).images == 13 * 150


@pytest.mark.parametrize(
    ("short", "longest", "expected"),
    [(800, 1333, (800, 1088)), (128, 128, (128, 128)), (1200, 1333, (1216, 1344))],
)
def test_photographs_for_a_detector_are_four_by_three(short: float, longest: int, expected: tuple[int, int]) -> None:
    assert detector_size(short, longest) == expected


@pytest.mark.parametrize("stage", ["detect", "segment"])
def test_transfer_trains_iterations_of_a_batch(demo: Profile, stage: str) -> None:
    params = demo.params
    iterations = {
        "detect": params.detect.overrides["SOLVER.MAX_ITER"],
        "segment": params.segment.overrides["train_cfg.max_iters"],
    }[stage]
    step, look = forecast_of(stage).work(demo, (stage, "flatness")).loads
    assert (step.steps, step.images, look.images) == (iterations, 8 * iterations, 60)
    assert step.flops > look.flops > 0


def test_a_network_costs_what_the_project_counts_elsewhere() -> None:
    row = load_params(PROFILES["paper"]).rows["genas_flatness_c100"]
    genotype = zoo_genotype("genas_flatness_c100")
    cost = cell_cost(row, genotype, 1000)
    expected = counted(genotype, 224, width=46, layers=14, num_classes=1000)
    # Two operations for a multiply-add; the classifier has 2 n - 1 of them in the one convention, n in the other.
    assert math.isclose(cost.flops, 2 * expected.macs, rel_tol=0.01)
    assert cost.weights == expected.params


def test_a_path_of_nasbench201_costs_what_the_benchmark_says() -> None:
    cell = next(cell for cell in all_cells() if cell.operations.count("nor_conv_3x3") == 6)
    with torch.device("meta"):
        network = NasBench201(10, 16, 5, cell=cell)
    found = cost_of(network, network, (32, 32))
    assert math.isclose(found.flops, 2 * nasbench201_cost(cell).macs, rel_tol=0.001)


def test_traffic_and_maps_of_a_convolution_are_what_it_reads_and_makes() -> None:
    with torch.device("meta"):
        network = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    made, weights, image = 8 * 16 * 16, 8 * 3 * 9, 3 * 16 * 16
    found = cost_of(network, network, (16, 16))
    assert found == Cost(2 * made * 27, 4 * (made + weights + image), 1, 4 * made, weights)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_forecast(stage: str) -> None:
    found = forecast_of(stage)
    assert callable(found.work)
    assert callable(found.trial)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_work_in_the_profiles_with_rows_of_it(stage: str) -> None:
    profiles = [load_params(path) for path in PROFILES.values()]
    rows = [(params, row) for params in profiles for row in [*STAGES[stage].rows(params)][:1]]
    assert rows
    for params, row in rows:
        profile = Profile(params, {name: Images(600, 300, 10) for name in params.data})
        work = forecast_of(stage).work(profile, (stage, row))
        assert work.loads or work.seconds
