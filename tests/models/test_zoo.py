"""The published cells as data: complete, valid, and what the tables and profiles ask for."""

from __future__ import annotations

import pytest
import timm
import torch

from models.errors import GenasError
from models.genotype import Genotype
from models.zoo import zoo, zoo_genotype
from pipeline.config import PROFILES, load_params

STATUSES = {"published", "unconfirmed", "not published"}
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


def test_timm_builds_a_row_by_name() -> None:
    with torch.device("meta"):
        network = timm.create_model("genas_network", genotype=zoo_genotype("genas_flatness_c100"), width=46)
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_195_205
    assert "genas_network" in timm.list_models("genas*")
