"""What is served waits for another run of the profile."""

from __future__ import annotations

import fcntl
import threading
import time
from typing import Any

import pytest
from prefect import Flow

from genas.flows.phases import supernet
from genas.flows.service.refresh import refresh
from tests.flows.conftest import Toy

pytestmark = [
    # DVC 3.67 reads a property that pygtrie is going to remove.
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
]


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    "served", [supernet, pytest.param(refresh, marks=pytest.mark.slow)], ids=lambda flow: flow.name
)
def test_a_served_flow_waits_for_another_run(
    served: Flow[..., Any], done: Toy, capfd: pytest.CaptureFixture[str]
) -> None:
    said, path = "", done.folder / ".scratch" / "run.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        waiting = threading.Thread(target=served, args=(str(done.folder),))
        waiting.start()
        deadline = time.monotonic() + 60
        while "another run is working, waiting for it" not in said:
            assert time.monotonic() < deadline
            waiting.join(timeout=0.2)
            said += capfd.readouterr().err
        waiting.join(timeout=1)
        assert waiting.is_alive()
        assert not done.runs()
    waiting.join(timeout=120)
    assert not waiting.is_alive()
