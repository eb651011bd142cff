"""The pieces of a run in two clones, with two toys and a remote between them; the whole is in test_two_clones.py."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from uuid import uuid4

import networkx as nx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from genas.flows.machines import coordinator, lockfile, source, worker
from genas.flows.processes.children import Children, StageError
from genas.models.errors import GenasError
from tests.flows.conftest import Toy, copied

pytestmark = [
    # DVC 3.67 reads a property that pygtrie is going to remove.
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
]

STAGE, SCAN = "supernet@a-0", "data@a"


@pytest.fixture
def other(fresh: Toy, tmp_path: Path) -> Toy:
    """A clone of which nothing has run, with a DVC remote."""
    toy = copied(fresh, tmp_path / "other")
    toy.dvc("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    return toy


def test_a_part_of_the_lock_goes_into_another(done: Toy, other: Toy) -> None:
    known = lockfile.entries(done.folder, [STAGE, "nothing"])
    assert list(known) == [STAGE]
    assert list(lockfile.outputs(known[STAGE])) == ["out/supernet/a-0"]
    assert lockfile.entries(other.folder, [STAGE]) == {}
    lockfile.merge(other.folder, known)
    lockfile.merge(other.folder, lockfile.entries(done.folder, [SCAN]))
    assert lockfile.entries(other.folder, [STAGE, SCAN]) == lockfile.entries(done.folder, [STAGE, SCAN])
    assert lockfile.remote(other.folder) == "store"


def test_other_parameters_are_another_source(done: Toy, other: Toy) -> None:
    wanted = source.source(done.folder)
    source.require_same(wanted, other.folder)
    source.require_same(wanted | {source.COMMIT: "0000000"}, other.folder)  # what counts is the content
    params = other.folder / "params.yaml"
    params.write_text(params.read_text() + "# more\n")
    with pytest.raises(GenasError, match=r"^the profile's params\.yaml differs from the coordinator's \(commit "):
        source.require_same(wanted, other.folder)
    with pytest.raises(GenasError, match=r"^the profile's params\.yaml and 1 more differ from the coordinator's"):
        source.require_same({**wanted, "models/genotype.py": ""}, other.folder)


def test_a_profile_is_named_by_its_place_in_the_repository(done: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GenasError, match=r"is outside the repository"):
        source.portable(done.folder)
    monkeypatch.setattr(source, "REPOSITORY", done.folder.parent.parent)
    assert source.portable(done.folder) == "profiles/toy"
    assert source.located("profiles/toy") == done.folder


def test_other_data_are_refused(done: Toy) -> None:
    here = lockfile.entries(done.folder, [SCAN])
    worker.require_same_data(SCAN, here, here)
    there = {SCAN: {"outs": [{"path": "out/data/a", "md5": "0.dir"}]}}
    with pytest.raises(GenasError, match=r"^data@a: the data are not the coordinator's: out/data/a is \w+\.dir, not 0"):
        worker.require_same_data(SCAN, here, there)


def test_without_a_remote_nothing_can_be_exchanged(done: Toy) -> None:
    with pytest.raises(GenasError, match=r"^no DVC remote, .*: dvc remote add --local --default NAME URL$"):
        worker.require_remote(done.folder)


def test_what_dvc_says_is_the_error(other: Toy) -> None:
    with pytest.raises(StageError, match=r"^dvc pull nothing: .*nothing"):
        worker.dvc(["pull", "nothing"], other.folder, Children())


def test_a_worker_that_no_longer_answers_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = coordinator.Pool("gpus", nx.DiGraph())
    waiting = FlowRun(flow_id=uuid4(), name=STAGE)
    taken = FlowRun(flow_id=uuid4(), name=STAGE, labels={"prefect.worker.name": "first"})
    answering = ["first", "second"]
    monkeypatch.setattr(coordinator, "online", lambda client, name: answering)
    client = cast(SyncPrefectClient, None)  # nobody is asked
    sent.require_worker(client, waiting)
    sent.require_worker(client, taken)
    answering.remove("first")
    sent.require_worker(client, waiting)
    with pytest.raises(StageError, match=r"^supernet@a-0: first of pool gpus is gone$"):
        sent.require_worker(client, taken)
    answering.clear()
    with pytest.raises(StageError, match=r"^supernet@a-0: every worker of pool gpus is gone$"):
        sent.require_worker(client, waiting)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_stage_runs_in_the_other_clone_and_comes_back(done: Toy, other: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's flow in this process, by what the coordinator would send it."""
    sent = {
        "profile": "profiles/toy",
        "stage": STAGE,
        "source": source.source(done.folder),
        "upstream": lockfile.entries(done.folder, [SCAN]),
        "scans": [SCAN],
    }
    monkeypatch.setattr(source, "REPOSITORY", other.folder.parent.parent)
    monkeypatch.setattr(worker, "located", lambda profile: other.folder)
    monkeypatch.setattr(worker, "require_same", lambda wanted, folder: None)
    other.fault(STAGE, "mistake")
    state = worker.stage_here(**sent, return_state=True)
    assert (state.name, state.is_failed()) == (worker.MISTAKE, True)
    assert str(state.message).startswith("params.yaml: sigma must increase (worker on ")
    (other.folder / "faults" / STAGE).unlink()
    state = worker.stage_here(**sent, return_state=True)
    assert (state.is_completed(), state.message) == (True, "done")
    assert state.state_details.flow_run_id is not None
    left = coordinator.left_by(state.state_details.flow_run_id)
    assert lockfile.outputs(left[STAGE]) == lockfile.outputs(lockfile.entries(done.folder, [STAGE])[STAGE])
    assert set(other.runs()) == {SCAN, STAGE}
