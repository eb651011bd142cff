"""The published cells as data: complete, valid, and what the tables and profiles ask for."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

import genas.models.networks.zoo  # noqa: F401  registers the rows
from genas.models.errors import GenasError
from genas.models.networks.published import zoo, zoo_cost, zoo_genotype, zoo_table, zoo_width
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline.config import PROFILES, load_params

STATUSES = {"published", "unconfirmed", "unidentified", "not published"}
VARIABLE_IN_DEGREE = {"fairdarts_b_c10"}
"""The one search whose cells have nodes with one or three inputs."""


@pytest.mark.parametrize("name", zoo())
def test_every_row_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    row = zoo()[name]
    assert row["status"] in STATUSES
    assert isinstance(row["method"], str)
    assert isinstance(row["tables"], list)
    assert row["width"] is None or row["width"] % 2 == 0
    assert (row["genotype"] is None) == (row["status"] == "not published")
    if row["genotype"] is not None:
        assert row["source"]


@pytest.mark.parametrize("name", [name for name, row in zoo().items() if row["genotype"]])
def test_every_published_cell_is_a_genotype_of_the_space(name: str) -> None:
    genotype = zoo_genotype(name)
    assert Genotype.decode(genotype.encode()) == genotype
    if name in VARIABLE_IN_DEGREE:
        with pytest.raises(GenasError, match="the search space has 2"):
            genotype.require_two_inputs()
    else:
        assert genotype.require_two_inputs() == genotype


def test_the_second_order_darts_cell_is_the_one_of_its_paper() -> None:
    """Figure 4 and 5 of Liu et al.: 3x3 separable convolutions with two skips and one dilated convolution; max pooling
    and skips in the reduction cell."""
    genotype = zoo_genotype("darts_v2_c10")
    assert [edge.operation for edge in genotype.normal].count("sep_conv_3x3") == 5
    assert [edge.operation for edge in genotype.normal].count("skip_connect") == 2
    assert ("dil_conv_3x3", 2, 5) in genotype.normal
    assert {edge.operation for edge in genotype.reduce} == {"max_pool_3x3", "skip_connect"}


def test_a_row_without_a_published_cell_says_so() -> None:
    with pytest.raises(GenasError, match="zoo row spos_c100: its genotype was not published"):
        zoo_genotype("spos_c100")


def test_an_unknown_row_is_told_the_known_ones() -> None:
    with pytest.raises(GenasError, match="unknown zoo row 'resnet', expected one of genas_flatness_c10, "):
        zoo_genotype("resnet")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_zoo_row_of_a_profile_can_be_laid_out(profile: str) -> None:
    for name in load_params(PROFILES[profile]).matrix.zoo.row:
        assert zoo_genotype(name)


OFFICIAL = {"genas_flatness_c100": (5_195_205, 580_209_216), "darts_v2_c10": (4_718_752, 530_678_560)}
"""Parameters and multiply-adds that the official counter printed (retrain_architecture/thop)."""


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in zoo_table()}


@pytest.mark.parametrize("name", OFFICIAL)
def test_costs_are_the_official_counters_to_the_last_digit(name: str) -> None:
    assert zoo_cost(name)[:2] == OFFICIAL[name]


def test_the_table_has_every_row_and_costs_where_there_is_a_cell(table: dict[str, dict[str, Any]]) -> None:
    assert list(table) == list(zoo())
    for name, row in table.items():
        has_cell = zoo()[name]["genotype"] is not None
        assert isinstance(row["params"], int) == isinstance(row["macs"], int) == has_cell


def test_a_figure_of_the_paper_that_does_not_agree_is_explained(table: dict[str, dict[str, Any]]) -> None:
    wrong = {name for name, row in table.items() if row["match"] and False in row["match"].values()}
    assert wrong == {
        "genas_angle_c10_candidate",
        "darts_v2_c10",
        "pcdarts_c10",
        "pcdarts_imagenet",
        "pdarts_c10",
        "fairdarts_b_c10",
    }
    assert all(table[name]["note"] for name in wrong)
    assert table["fairdarts_b_c10"]["match"] == {"params": False, "macs": True}
    assert table["darts_v2_c10"]["match"] == {"params": True, "macs": False}


def test_a_row_without_a_published_width_is_fitted_to_the_budget() -> None:
    assert zoo_width("genas_repo_RLDARTS_unlabelled") == 44
    assert zoo_width("genas_flatness_c10") == 52


@pytest.mark.parametrize("name", [name for name, row in zoo().items() if row["genotype"]])
def test_every_row_with_a_cell_is_a_timm_model(name: str) -> None:
    with torch.device("meta"):
        network = timm.create_model(name)
        assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
    assert (network.genotype, network.width, network.layers) == (zoo_genotype(name), zoo_width(name), 14)


def test_a_row_takes_the_arguments_that_timm_models_take() -> None:
    shape = {"width": 8, "layers": 5}
    network = timm.create_model(
        "fairdarts_b_c10", num_classes=7, in_chans=1, drop_path_rate=0.2, drop_rate=0.1, **shape
    )
    network.set_grad_checkpointing()
    network(torch.randn(2, 1, 64, 64)).sum().backward()
    network.reset_classifier(3)
    assert network.eval()(torch.randn(1, 1, 64, 64)).shape == (1, 3)
    features = timm.create_model("fairdarts_b_c10", features_only=True, **shape)
    assert features.feature_info.reduction() == [4, 8, 16, 32]
    assert [tuple(x.shape) for x in features(torch.randn(1, 3, 64, 64))] == [
        (1, channels, 64 // stride, 64 // stride)
        for channels, stride in zip(features.feature_info.channels(), (4, 8, 16, 32), strict=True)
    ]
