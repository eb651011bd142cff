"""The search measures: equations on numbers worked by hand, noise that depends on nothing but its key, a probe that
leaves no trace."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.official.vector import official_angle, weight_vector
from genas.models.spaces.base.cost import Cost
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.oneshot import OneShot
from genas.models.spaces.base.path_vector import Piece, operation_weights, path_counts
from genas.models.spaces.darts.cost import network_cost
from genas.models.spaces.darts.genotype import EDGES, NODES, Genotype, random_genotype
from genas.models.spaces.darts.supernet import Supernet
from genas.pipeline import measures
from genas.pipeline.config import AngleParams, FlatnessParams, MeasureParams
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.measures import angle as angle_module
from genas.pipeline.measures.angle import angle
from genas.pipeline.measures.flatness import draw_losses, flatness
from genas.pipeline.probe.noise import directions, positions, standard_noise, steps
from genas.pipeline.probe.plain import Probe
from tests.conftest import metric_of

PARAMS = MeasureParams(
    scorer="plain",
    precision="float32",
    images=24,
    batch_size=10,
    mean="images",
    recalibrate_images=24,
    recalibrate_batch_size=10,
    recalibrate="exact",
    recalibrate_augmented=False,
    zero_cost_images=8,
    flatness=FlatnessParams(
        sigma=(0.01, 0.03, 0.06),
        alpha=1.0,
        noise="independent",
        draws=1,
        positions="all",
        direction="random",
        magnitude="absolute",
        common=True,
        hessian_iterations=5,
        hessian_images=24,
    ),
    angle=AngleParams(version="fixed"),
)


def params(**flat: Any) -> MeasureParams:
    return PARAMS.model_copy(update={"flatness": PARAMS.flatness.model_copy(update=flat)})


def search_data(count: int = 24) -> SearchData:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(2, count, 3, 8, 8, generator=generator)
    labels = torch.randint(0, 4, (2, count), generator=generator)
    return SearchData(images[0], labels[0], images[1], labels[1], 4)


def supernet(seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    return Supernet(num_classes=4, channels=2, layers=3)


initial = functools.cache(supernet)  # for reading only


def path(seed: int) -> Genotype:
    return random_genotype(np.random.default_rng(seed))


def probe(settings: MeasureParams = PARAMS, seed: int = 0) -> Probe:
    return Probe(supernet(1), search_data(), settings, seed, initial(0))


class Line(nn.Module):
    """A stand-in supernet of one weight w: its loss is a function of w alone, known in closed form."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.line.weight, weight)

    def path_modules(self, genotype: Genotype) -> list[nn.Module]:
        return [self.line]

    def forward(self, x: Tensor, genotype: Genotype) -> Tensor:
        return torch.cat([self.line.weight.expand(len(x), 1), torch.zeros(len(x), 1)], 1)


def test_without_common_noise_each_candidate_has_its_own_whatever_was_scored_before() -> None:
    own, shared = (probe(params(common=common)) for common in (False, True))
    first, second = path(0), path(1)
    name = "stem.0.weight"

    def noise(one: Probe, architecture: Genotype) -> Tensor:
        parameters = positions(one, architecture, one.params.flatness)
        return directions(one, architecture, parameters, one.params.flatness)[0](0.01)[name]

    assert noise(shared, first).equal(noise(shared, second))
    before = noise(own, first)
    assert not before.equal(noise(own, second))
    assert not before.equal(noise(shared, first))
    assert before.equal(noise(own, first))
    assert before.equal(noise(probe(params(common=False)), first))
    assert not own.standard_noise, "nothing is kept that is never needed again"


# ---- Equation 4 -----------------------------------------------------------------------------------------------------


def test_flatness_by_hand() -> None:
    # slopes |2.1 - 2.0| / 0.1 = 1 and |1.9 - 2.1| / 0.2 = 1; depth 2.0 / 0.1 = 20
    assert flatness([2.0, 2.1, 1.9], [0.1, 0.2, 0.4]) == pytest.approx(1 / (1 + 1 + 20 + 1e-5))
    assert flatness([2.0, 2.1, 1.9], [0.1, 0.2, 0.4], alpha=0) == pytest.approx(1 / (2 + 1e-5))
    assert flatness([2.0, 2.1, 1.9], [0.1, 0.2, 0.4], alpha=0.5) == pytest.approx(1 / (12 + 1e-5))


def test_a_perfectly_flat_bottom_is_finite() -> None:
    assert flatness([1.0, 1.0], [0.1, 0.2], alpha=0) == pytest.approx(1e5)
    assert flatness([0.0, 0.0], [0.1, 0.2]) == pytest.approx(1e5)


def test_flatter_and_deeper_are_better() -> None:
    sigma = [0.1, 0.2, 0.3]
    assert flatness([1.0, 1.0, 1.0], sigma) > flatness([1.0, 1.5, 2.0], sigma)
    assert flatness([0.5, 0.5, 0.5], sigma) > flatness([1.0, 1.0, 1.0], sigma)


def test_the_steps_of_both_kinds_of_noise() -> None:
    assert steps(params().flatness) == [0.01, 0.03, 0.06]
    assert steps(params(noise="cumulative").flatness) == pytest.approx([0.01, 0.02, 0.03])


def test_the_scale_of_eq_5() -> None:
    assert measures.get("flatness").scale(PARAMS) == pytest.approx(100)
    assert measures.get("angle").scale(PARAMS) == pytest.approx(1 / math.pi)
    assert measures.get("accuracy").scale(PARAMS) == 1
    assert measures.get("loss").scale(PARAMS) == -1
    assert measures.get("params").scale(PARAMS) == measures.get("macs").scale(PARAMS) == 1e-6


def test_combined_scores_by_hand() -> None:
    values = {"angle": [math.pi / 4, 0], "flatness": [0.002, 0.004], "accuracy": [0.5, 1], "loss": [3.0, 1.0]}
    angle_flatness = metric_of({"angle": 1, "flatness": 16})
    assert measures.combine(values, angle_flatness, PARAMS) == pytest.approx([0.25 + 16 * 0.2, 16 * 0.4])
    assert measures.combine(values, metric_of({"accuracy": 2, "loss": 1}), PARAMS) == pytest.approx([-2, 1])


def test_a_sum_of_ranks_by_hand() -> None:
    """A rank is 1/n for the worst and 1 for the best, ties on their average; a smaller loss ranks higher."""
    values = {"angle": [0.1, 0.3, 0.3, 0.2], "loss": [1.0, 4.0, 3.0, 2.0]}
    metric = metric_of({"angle": 1, "loss": 2}, combine="rank")
    angle, loss = [1, 3.5, 3.5, 2], [4, 1, 2, 3]
    expected = [a / 4 + 2 * b / 4 for a, b in zip(angle, loss, strict=True)]
    assert measures.combine(values, metric, PARAMS) == pytest.approx(expected)
    larger = {**values, "angle": [10 * value for value in values["angle"]]}
    assert measures.combine(larger, metric, PARAMS) == pytest.approx(expected)
    logarithms = metric_of({"angle": 1, "loss": 2}, combine="log_rank")
    expected = [math.log(a / 4) + 2 * math.log(b / 4) for a, b in zip(angle, loss, strict=True)]
    assert measures.combine(values, logarithms, PARAMS) == pytest.approx(expected)


# ---- noise ----------------------------------------------------------------------------------------------------------


def test_noise_is_a_pure_function_of_its_key() -> None:
    shape = torch.Size([3, 4])
    first = standard_noise(shape, 0, 0, "stem.weight", 1)
    torch.manual_seed(123)
    assert torch.equal(standard_noise(shape, 0, 0, "stem.weight", 1), first)
    for other in [(1, 0, "stem.weight", 1), (0, 1, "stem.weight", 1), (0, 0, "stem.bias", 1), (0, 0, "stem.weight", 2)]:
        assert not torch.equal(standard_noise(shape, *other), first)
    assert first.dtype == torch.float32


def test_noise_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    standard_noise(torch.Size([5]), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_standard_normal() -> None:
    sample = standard_noise(torch.Size([100_000]), "key")
    assert float(sample.mean()) == pytest.approx(0, abs=0.015)
    assert float(sample.std()) == pytest.approx(1, abs=0.015)
    assert float((sample.abs() < 1).float().mean()) == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("noise", ["independent", "cumulative"])
def test_perturbed_losses_of_a_known_loss(noise: str) -> None:
    """One weight w, logits (w, 0), label 0: the loss is log(1 + exp(-w)) at w plus the drawn noise."""
    data = SearchData(*[torch.zeros(6, 1), torch.zeros(6, dtype=torch.long)] * 2, 2)
    line = Line(0.7)
    one = Probe(line, data, params(sigma=(0.1, 0.5), noise=noise), seed=3)
    z = [float(standard_noise(torch.Size([1, 1]), 3, 0, "line.weight", sigma)) for sigma in (0.1, 0.5)]
    offsets = [0.1 * z[0], 0.5 * z[1]] if noise == "independent" else [0.1 * z[0], 0.1 * z[0] + 0.4 * z[1]]
    expected = [math.log(1 + math.exp(-(0.7 + offset))) for offset in offsets]
    assert draw_losses(one, path(0), one.params)[0] == pytest.approx(expected, rel=1e-5)
    assert float(line.line.weight.detach()) == pytest.approx(0.7)
    slope = abs(expected[1] - expected[0]) / 0.4
    taken = measures.measure("flatness", one, path(0))
    assert taken["flatness"] == pytest.approx(1 / (slope + expected[0] / 0.1 + 1e-5), rel=1e-4)
    assert [taken["loss_0"], taken["loss_1"]] == pytest.approx(expected, rel=1e-5)


def test_several_draws_are_averaged_with_their_standard_error() -> None:
    one = probe(params(draws=3))
    taken = measures.measure("flatness", one, path(0))
    losses = draw_losses(one, path(0), one.params)
    values = [flatness(drawn, (0.01, 0.03, 0.06)) for drawn in losses]
    assert len(set(values)) == 3
    assert taken["flatness"] == pytest.approx(sum(values) / 3)
    spread = math.sqrt(sum((value - sum(values) / 3) ** 2 for value in values) / 2)
    assert taken["flatness_error"] == pytest.approx(spread / math.sqrt(3))
    assert taken["loss_2"] == pytest.approx(sum(drawn[2] for drawn in losses) / 3)
    assert "flatness_error" not in measures.measure("flatness", probe(), path(0))


def test_lists_of_sigmas_share_the_noise_of_a_sigma_that_both_have() -> None:
    losses = {
        sigma: draw_losses(probe(), path(2), params(sigma=sigma))[0] for sigma in ((0.01, 0.03), (0.003, 0.01, 0.06))
    }
    (first, _), (_, second, _) = losses.values()
    assert first == second


def test_noise_off_the_path_cannot_act() -> None:
    """The same noise on all parameters gives the losses of noise on the path's."""
    one = probe()
    one.recalibrate(path(2))
    on_path = draw_losses(one, path(2), one.params)[0]
    everywhere = dict(one.network.named_parameters())
    assert len(everywhere) > len(one.path_parameters(path(2)))
    losses = []
    for sigma in steps(PARAMS.flatness):
        noise = {n: sigma * standard_noise(p.shape, one.seed, 0, n, sigma) for n, p in everywhere.items()}
        with one.perturbed(noise):
            losses.append(one.evaluate(path(2))[0])
    assert losses == on_path


# ---- where and whereto noise goes (Table 7) -------------------------------------------------------------------------


def test_noise_on_cells_leaves_stem_and_classifier() -> None:
    everywhere = positions(probe(), path(0), PARAMS.flatness)
    cells = positions(probe(), path(0), params(positions="cells").flatness)
    assert set(everywhere) - set(cells) == {
        "stem.0.weight", "stem.1.weight", "stem.1.bias", "classifier.weight", "classifier.bias"
    }  # fmt: skip
    assert set(cells) < set(everywhere)
    assert draw_losses(probe(), path(0), PARAMS) != draw_losses(probe(), path(0), params(positions="cells"))


class Bowl(nn.Module):
    """A stand-in supernet whose loss is -log of a sigmoid of -(a x^2 + b y^2) / 2 at (x, y): curved most along x."""

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.point.weight.copy_(torch.tensor([[0.1, -0.1]]))

    def path_modules(self, genotype: Genotype) -> list[nn.Module]:
        return [self.point]

    def forward(self, x: Tensor, genotype: Genotype) -> Tensor:
        height = (self.point.weight**2 * torch.tensor([8.0, 2.0])).sum() / 2
        return torch.stack([-height.expand(len(x)), torch.zeros(len(x))], 1)


def bowl(**flat: Any) -> Probe:
    data = SearchData(*[torch.zeros(6, 2), torch.zeros(6, dtype=torch.long)] * 2, 2)
    settings = params(**{"sigma": (0.1, 0.5), "direction": "hessian", "hessian_iterations": 50, **flat})
    return Probe(Bowl(), data, settings, seed=3)


def test_hessian_directions_go_uphill_along_the_sharpest_axes() -> None:
    one = bowl(draws=2)
    parameters = positions(one, path(0), one.params.flatness)
    first, second = (
        direction(0.1)["point.weight"].flatten()
        for direction in directions(one, path(0), parameters, one.params.flatness)
    )
    # As long as noise of two numbers, sqrt(2); uphill is away from 0 along x, and towards smaller y.
    assert first.tolist() == pytest.approx([math.sqrt(2), 0], abs=0.1)
    assert second.tolist() == pytest.approx([0, -math.sqrt(2)], abs=0.1)


@pytest.mark.parametrize("noise", ["independent", "cumulative"])
def test_losses_along_the_hessian_in_closed_form(noise: str) -> None:
    one = bowl(noise=noise)
    settings = one.params.flatness
    (direction,) = directions(one, path(0), positions(one, path(0), settings), settings)
    move = direction(0.1)["point.weight"].flatten().tolist()
    points = [(0.1 + sigma * move[0], -0.1 + sigma * move[1]) for sigma in (0.1, 0.5)]
    expected = [math.log(1 + math.exp((8 * x * x + 2 * y * y) / 2)) for x, y in points]
    assert draw_losses(one, path(0), one.params)[0] == pytest.approx(expected, rel=1e-5)
    assert one.network.point.weight.flatten().tolist() == pytest.approx([0.1, -0.1])


@pytest.mark.slow
def test_the_hessian_direction_of_a_supernet_is_sharper_than_noise() -> None:
    """The loss rises more along the top eigenvector than under random noise of the same length."""
    settings = {"sigma": (0.001, 0.005), "hessian_iterations": 8}
    along, under = (
        draw_losses(probe(), path(0), params(direction=direction, **settings))[0] for direction in ("hessian", "random")
    )
    assert along[1] > under[1]
    assert along == draw_losses(probe(), path(0), params(direction="hessian", **settings))[0]


@pytest.mark.parametrize(
    ("terms", "recalibrate"),
    [({"flatness": 1}, "exact"), ({"accuracy": 1}, "official"), ({"angle": 1, "flatness": 16}, "official")],
)
def test_a_score_does_not_depend_on_what_was_scored_before(terms: dict[str, float], recalibrate: str) -> None:
    settings = PARAMS.model_copy(update={"recalibrate": recalibrate})
    forward, backward = probe(settings), probe(settings)
    first = [measures.take(forward, path(seed), terms) for seed in (0, 1)]
    second = [measures.take(backward, path(seed), terms) for seed in (1, 0)]
    assert first == second[::-1]
    assert first[0] == measures.take(forward, path(0), terms)
    assert first[0] != first[1]


def test_another_seed_draws_other_noise() -> None:
    one = probe(seed=0)
    taken = measures.measure("flatness", one, path(0))
    one.seed = 1
    assert measures.measure("flatness", one, path(0)) != taken


# ---- the probe ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["random", pytest.param("hessian", marks=pytest.mark.slow)])
def test_weights_come_back_bit_for_bit(direction: str) -> None:
    one = probe(params(direction=direction, hessian_iterations=2))
    before = {name: parameter.detach().clone() for name, parameter in one.network.named_parameters()}
    measures.measure("flatness", one, path(0))
    for name, parameter in one.network.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_weights_come_back_also_after_an_error() -> None:
    one = probe()
    before = one.network.stem[0].weight.detach().clone()
    parameters = one.path_parameters(path(0))

    def fail_inside() -> None:
        with one.perturbed({name: torch.ones_like(p) for name, p in parameters.items()}):
            torch.testing.assert_close(one.network.stem[0].weight, before + 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert torch.equal(one.network.stem[0].weight, before)


def test_exact_recalibration_takes_all_images_together() -> None:
    one = probe()
    one.recalibrate(path(0))
    norm = one.network.stem[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        maps = one.network.stem[0](search_data().train_images)
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, maps.transpose(0, 1).flatten(1).var(1))


def test_official_recalibration_keeps_a_part_of_the_reset_value() -> None:
    one = probe(PARAMS.model_copy(update={"recalibrate": "official"}))
    one.recalibrate(path(0))
    norm = one.network.stem[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    expected = torch.zeros(6)
    with torch.no_grad():
        for images in search_data().train_images.split(10):
            expected = 0.9 * expected + 0.1 * one.network.stem[0](images).mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, expected)


def test_statistics_off_the_path_stay() -> None:
    one = probe()
    inside = {id(m) for module in one.network.path_modules(path(0)) for m in module.modules()}
    before = {
        name: module.running_mean.clone()
        for name, module in one.network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and id(module) not in inside and module.running_mean is not None
    }
    one.recalibrate(path(0))
    modules = dict(one.network.named_modules())
    assert before
    assert all(torch.equal(modules[name].running_mean, mean) for name, mean in before.items())


def test_evaluation_is_the_mean_over_images_whatever_the_batches() -> None:
    one = probe()
    one.recalibrate(path(0))
    data = search_data()
    with torch.no_grad():
        logits = one.network.eval()(data.held_images, path(0))
    loss, accuracy = one.evaluate(path(0))
    assert loss == pytest.approx(float(F.cross_entropy(logits, data.held_labels)), rel=1e-5)
    assert accuracy == float((logits.argmax(1) == data.held_labels).double().mean())


@pytest.mark.parametrize("seed", range(4))
def test_accuracy_is_a_share(seed: int) -> None:
    taken = measures.take(probe(), path(seed), {"accuracy": 1})
    assert 0 <= taken["accuracy"] <= 1
    assert taken["accuracy"] * 24 == pytest.approx(round(taken["accuracy"] * 24))
    assert taken["loss"] > 0


def test_a_value_that_is_there_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one, evaluated = probe(), []
    real = one.outcomes
    monkeypatch.setattr(one, "outcomes", lambda genotype, *rest: evaluated.append(genotype) or real(genotype, *rest))
    both = measures.take(one, path(1), ("accuracy", "loss"))
    assert len(evaluated) == 1
    assert both["loss"] == measures.take(one, path(1), ("loss",))["loss"]


def test_the_controls() -> None:
    taken = measures.take(probe(), path(4), ("loss", "params", "macs"))
    assert taken["loss"] == measures.take(probe(), path(4), ("accuracy",))["loss"]
    assert (taken["params"], taken["macs"]) == network_cost(path(4), 224, width=48, layers=14)


def test_every_measure_of_the_parameters_is_a_module_with_both_functions() -> None:
    from genas.pipeline.config import MEASURES

    one = probe()
    for name in MEASURES:
        assert name in measures.take(one, path(0), {name: 1.0})
        assert (measures.get(name).scale(PARAMS) > 0) == (name != "loss")  # a smaller loss is better


# ---- the angle ------------------------------------------------------------------------------------------------------

PATHS = [
    [start, *rest]
    for ends in (
        ([2, 3, 4, 5], [2, 3, 5], [2, 4, 5], [2, 5], [3, 4, 5], [3, 5], [4, 5], [5]),
        ([2, 3, 4], [2, 4], [3, 4], [4]),
        ([2, 3], [3]),
        ([2],),
    )
    for start in (0, 1)
    for rest in ends
]
"""The 30 node paths of the official evaluator, in its order (cand_evaluator.py:240-529)."""


def by_enumeration(edges: tuple[Edge, ...]) -> list[int]:
    """How often each edge occurs in the paths all of whose edges are there."""
    present = {(edge.source, edge.target) for edge in edges}
    walked = [list(itertools.pairwise(nodes)) for nodes in PATHS]
    whole = [walk for walk in walked if set(walk) <= present]
    return [sum(walk.count((edge.source, edge.target)) for walk in whole) for edge in edges]


def test_there_are_thirty_paths() -> None:
    assert len({tuple(nodes) for nodes in PATHS}) == len(PATHS) == 30
    full = tuple(Edge("skip_connect", *pair) for pair in EDGES)
    assert path_counts(full, (0, 1), NODES) == by_enumeration(full)
    assert sum(path_counts(full, (0, 1), NODES)) == sum(len(nodes) - 1 for nodes in PATHS)


@pytest.mark.parametrize("seed", range(25))
def test_path_counts_are_those_of_the_enumerated_paths(seed: int) -> None:
    genotype = path(seed)
    for cell in (genotype.normal, genotype.reduce):
        assert path_counts(cell, (0, 1), NODES) == by_enumeration(cell)


@pytest.mark.parametrize("seed", range(10))
def test_path_counts_of_cells_with_any_in_degree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = tuple(
        Edge("skip_connect", source, node)
        for node in NODES
        for source in sorted(rng.choice(node, rng.integers(1, node + 1), replace=False).tolist())
    )
    assert path_counts(edges, (0, 1), NODES) == by_enumeration(edges)


class Written(OneShot[Genotype]):
    """A network whose weight vector has the pieces that it is given."""

    def __init__(self, *pieces: tuple[int, list[float]]) -> None:
        super().__init__()
        self.pieces = [(count, torch.tensor(weights, dtype=torch.float64)) for count, weights in pieces]

    def path_modules(self, path: Genotype) -> list[nn.Module]:
        return []

    def weighted_vectors(self, path: Genotype) -> Iterator[Piece]:
        return iter(self.pieces)

    def reference_cost(self, path: Genotype) -> Cost:
        raise NotImplementedError


def test_the_angle_of_two_weights_by_hand() -> None:
    """Pieces (count, weights): 1 x [3] and 2 x [4] against 1 x [4] and 2 x [-3]."""
    dot, first, second = 3 * 4 + 2 * 4 * -3, 9 + 2 * 16, 16 + 2 * 9
    found = angle(Written((1, [3.0]), (2, [4.0])), Written((1, [4.0]), (2, [-3.0])), path(0))
    assert found == pytest.approx(math.acos(dot / math.sqrt(first * second)))
    assert angle(Written(), Written(), path(0)) == 0


def test_an_untrained_network_has_no_angle() -> None:
    assert angle(initial(0), initial(0), path(0)) == pytest.approx(0, abs=1e-7)
    doubled = supernet(0)
    with torch.no_grad():
        doubled.stem[0].weight.mul_(2)
    assert angle(initial(0), doubled, path(0)) > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_the_angle_is_that_of_the_vector_written_out(seed: int) -> None:
    first, second = (weight_vector(initial(i), path(seed), slip=False).double() for i in (0, 1))
    expected = math.acos(float(F.cosine_similarity(first, second, dim=0)))
    assert angle(initial(0), initial(1), path(seed)) == pytest.approx(expected, abs=1e-6)


def with_operation(name: str) -> Genotype:
    edges = tuple(Edge(name, source, node) for node in NODES for source in (0, 1))
    return Genotype(edges, edges)


def test_the_official_slip_is_one_of_dilated_convolutions() -> None:
    """Their bias differs between the networks, their BatchNorm weight does not: only the fixed angle sees it."""
    first, second = supernet(0), supernet(0)
    with torch.no_grad():
        for name, parameter in second.named_parameters():
            if ("dil_conv" in name and name.endswith("3.bias")) or ("sep_conv" in name and name.endswith("7.bias")):
                parameter.fill_(0.5)
    for operation, seen in (("dil_conv_3x3", False), ("sep_conv_3x3", True)):
        genotype = with_operation(operation)
        assert (official_angle(first, second, genotype) > 1e-3) == seen
        assert angle(first, second, genotype) > 1e-3


@pytest.mark.parametrize("version", ["fixed", "official"])
def test_the_measure_takes_the_version_of_the_parameters(version: str) -> None:
    settings = PARAMS.model_copy(update={"angle": AngleParams(version=version)})
    function = angle if version == "fixed" else official_angle
    one = probe(settings)
    genotype = with_operation("dil_conv_5x5")
    assert angle_module.measure(one, genotype) == {"angle": function(one.initial, one.network, genotype)}


def test_what_operations_without_weights_contribute() -> None:
    assert operation_weights(nn.Identity(), "skip_connect", 3).tolist() == torch.eye(3).flatten().tolist()
    whole = operation_weights(nn.Sequential(nn.AvgPool2d(3), nn.BatchNorm2d(2)), "avg_pool_3x3", 2)
    assert whole.tolist() == pytest.approx([1 / 9] * 18 + [1, 1, 0, 0])
    assert operation_weights(nn.AvgPool2d(3), "avg_pool_3x3", 2).tolist() == pytest.approx([1 / 9] * 18)


def test_the_official_angle_is_of_the_darts_space_alone() -> None:
    one = probe(PARAMS.model_copy(update={"angle": AngleParams(version="official")}))
    one.network = one.initial = Written((1, [1.0]))
    with pytest.raises(GenasError, match=r"angle\.version official: .* choose fixed"):
        angle_module.measure(one, path(0))


# ---- means -----------------------------------------------------------------------------------------------------------


def test_batch_means_give_the_images_of_a_smaller_last_batch_more_weight() -> None:
    seen = np.array([[1.0, 3.0, 5.0, 7.0, 20.0], [0.0, 0.0, 0.0, 0.0, 1.0]])
    by_images, by_batches = (
        PARAMS.model_copy(update={"batch_size": 2, "mean": mean}) for mean in ("images", "batches")
    )
    assert measures.mean_over(seen, by_images).tolist() == [36 / 5, 1 / 5]
    assert measures.mean_over(seen, by_batches).tolist() == [(2 + 6 + 20) / 3, 1 / 3]
    assert measures.mean_over(seen[:, :4], by_batches).tolist() == measures.mean_over(seen[:, :4], by_images).tolist()


def test_losses_and_flatness_are_of_either_mean() -> None:
    odd = {"images": 7, "batch_size": 3}
    one = probe(PARAMS.model_copy(update={**odd, "mean": "batches"}))
    one.recalibrate(path(0))
    loss, right = one.outcomes(path(0), [{}])[0].double()
    found = measures.measure("accuracy", one, path(0))
    assert found["loss"] == pytest.approx(float((loss[:3].mean() + loss[3:6].mean() + loss[6]) / 3))
    assert found["accuracy"] == pytest.approx(float((right[:3].mean() + right[3:6].mean() + right[6]) / 3))
    losses = measures.measure("flatness", one, path(0))
    assert losses["loss_0"] == pytest.approx(draw_losses(one, path(0), one.params)[0][0])
    assert losses["loss_0"] != measures.measure("flatness", probe(PARAMS.model_copy(update=odd)), path(0))["loss_0"]
