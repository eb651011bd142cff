"""A refresh says what changed and leaves the lock on a branch, and the user's repository as it was."""

from __future__ import annotations

import pytest

from genas.flows.reproduce import JOBS
from genas.flows.service.refresh import comparison, keep_lock, refresh
from tests.flows.conftest import Toy

pytestmark = [
    # DVC 3.67 reads a property that pygtrie is going to remove.
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
]


def committed(toy: Toy) -> Toy:
    """The toy with its lock at HEAD, one change staged and one not."""
    toy.call("git", "-c", "user.name=n", "-c", "user.email=e", "add", "--all")
    toy.call("git", "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--message", "all")
    (toy.folder / "staged.txt").write_text("staged")
    toy.call("git", "add", "staged.txt")
    return toy


def state(toy: Toy) -> tuple[str, str, str]:
    """What a refresh must not touch: where HEAD is, what is staged, and the branch that is checked out."""
    return (
        toy.call("git", "rev-parse", "HEAD"),
        toy.call("git", "diff", "--cached"),
        toy.call("git", "branch", "--show-current"),
    )


@pytest.mark.usefixtures("prefect_server")
def test_new_data_is_followed_down_and_kept_on_a_branch(done: Toy) -> None:
    from prefect.client.orchestration import get_client

    committed(done)
    before, lock = state(done), (done.folder / "dvc.lock").read_text()
    old = done.outputs()["out/search/a-angle-0/metrics.json"]
    (done.folder / "raw" / "a.txt").write_text("more")
    branch = refresh(str(done.folder), JOBS)
    assert branch is not None
    assert set(done.runs("s")) == {"supernet@a-0", "search@a-angle-0", "search@a-flatness-0"}
    assert state(done) == before
    new = (done.folder / "dvc.lock").read_text()
    assert new != lock
    assert done.call("git", "show", f"{branch}:./dvc.lock") == new
    assert done.call("git", "diff", "--name-only", "HEAD", branch).split() == ["profiles/toy/dvc.lock"]
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts()
    # The toy has the demo's parameters, and so has every toy whose refresh this server has seen.
    artifact = max((one for one in artifacts if one.key == "refresh-demo"), key=lambda one: one.created)
    assert "| a | a | more |" in str(artifact.data)
    assert "| search@a-angle-0 | value | " in str(artifact.data)
    assert old != done.outputs()["out/search/a-angle-0/metrics.json"]
    # The next one finds nothing new and does not make a second branch of the same lock.
    assert refresh(str(done.folder), JOBS) == branch


def test_the_lock_of_head_needs_no_branch(done: Toy) -> None:
    committed(done)
    assert keep_lock(done.folder, "refresh/x") is None
    assert not done.call("git", "branch", "--list", "refresh/*")


def test_without_a_commit_there_is_no_branch(done: Toy) -> None:
    assert keep_lock(done.folder, "refresh/x") is None


def test_the_comparison_lists_only_what_differs() -> None:
    text = comparison(
        {"a": "1", "b": "2"},
        {"a": "1", "b": "3", "c": "4"},
        {"x@1": {"top1": 1.0, "top5": 5.0}},
        {"x@1": {"top1": 2.0, "top5": 5.0}},
    )
    assert text == (
        "| data set | old | new |\n|---|---|---|\n| b | 2 | 3 |\n| c | - | 4 |\n\n"
        "| row | metric | old | new |\n|---|---|---|---|\n| x@1 | top1 | 1.0 | 2.0 |\n"
    )
    assert comparison({}, {}, {}, {}) == "No data set changed.\n\nNo metric changed.\n"
