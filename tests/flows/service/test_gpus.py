"""GPUs as a limit: stages that compute take turns on them, others do not wait, and without a GPU there is no limit."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.flows.conftest import Toy

pytestmark = [
    # DVC 3.67 reads a property that pygtrie is going to remove.
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
    pytest.mark.usefixtures("prefect_server"),
]


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that shows two GPUs."""
    from genas.flows.service import gpus

    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "driver" / name).mkdir(parents=True)
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "driver")
    monkeypatch.setattr(gpus, "limit_name", lambda: f"gpus of {tmp_path.name}")
    monkeypatch.delenv("GENAS_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_counted_as_stages_will_see_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from genas.flows.service import gpus

    assert gpus.count() == 2
    for visible, seen in (("0", 1), ("0,1", 2), ("", 0), ("-1", 0)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpus.count() == seen
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("GENAS_DEVICE", "cpu")
    assert gpus.count() == 0
    assert gpus.make_limit() is None
    monkeypatch.delenv("GENAS_DEVICE")
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "nothing")
    assert gpus.make_limit() is None


@pytest.mark.usefixtures("two_gpus")
def test_the_limit_is_made_once_and_then_the_users() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

    from genas.flows.service import gpus

    name = gpus.make_limit()
    assert name is not None
    with get_client(sync_client=True) as client:
        assert client.read_global_concurrency_limit_by_name(name).limit == 2
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=5))
        assert gpus.make_limit() == name
        assert client.read_global_concurrency_limit_by_name(name).limit == 5


@pytest.mark.slow
@pytest.mark.usefixtures("two_gpus")
def test_what_computes_takes_turns(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    from genas.flows.reproduce import reproduce

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    ended = reproduce(str(toy.folder), (), 4)
    assert set(ended.values()) == {"done"}
    spans = []
    for note in (toy.folder / "runs").iterdir():
        name = note.name.split()[0]
        stage, _, row = name.partition("@")
        if stage in ("supernet", "search"):
            left = toy.folder / "out" / stage / row / "metrics.json"
            spans.append((note.stat().st_mtime_ns, left.stat().st_mtime_ns, name))
    spans.sort()
    assert len(spans) == 6
    assert all(before[1] <= after[0] for before, after in pairwise(spans)), spans


def test_stages_that_compute_are_told_from_tables_and_pictures() -> None:
    from genas.flows.service.gpus import computes
    from genas.pipeline.stages import STAGES

    light = {"data", "measures", "rerank", "zoo", "report"}
    light |= {"laboratory", "laboratory_report", "laboratory301", "laboratory301_report"}
    assert {name for name in STAGES if not computes(name)} == light
    assert computes("search@digits-flatness-0")
    assert not computes("mine@0"), "a stage of the user's own waits for nobody"
