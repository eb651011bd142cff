"""The named flows against the table of stages, and as Prefect finds them."""

from __future__ import annotations

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from genas.flows.phases import PHASES, targets_of
from genas.pipeline.config import REPOSITORY
from genas.pipeline.stages import STAGES

DEPLOYED = [one["entrypoint"] for one in yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]]


def test_every_flow_that_the_table_names_exists() -> None:
    assert {stage.flow for stage in STAGES.values()} - {""} == {phase.name for phase in PHASES} - {"paper"}


def test_a_flow_brings_its_stages_up_to_date() -> None:
    assert targets_of("search") == ("search", "reseed", "rerank", "agreement", "replica")
    assert targets_of("supernet") == ("supernet",)
    assert targets_of("retrain") == ("retrain",)


@pytest.mark.parametrize("entrypoint", DEPLOYED)
def test_prefect_finds_every_flow_that_is_deployed(entrypoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    found = load_flow_from_entrypoint(entrypoint)
    assert found.name == entrypoint.partition(":")[2]
    assert found.description


def test_every_flow_is_deployed() -> None:
    assert {entrypoint.partition(":")[2] for entrypoint in DEPLOYED} == {phase.name for phase in PHASES} | {"refresh"}
