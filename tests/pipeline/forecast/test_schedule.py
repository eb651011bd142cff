"""List scheduling on a toy graph, by hand."""

from __future__ import annotations

import pytest

from genas.pipeline.forecast.schedule import schedule
from genas.pipeline.stages import Key

A, B, C, D, E = (("toy", name) for name in "abcde")
SECONDS: dict[Key, float] = {A: 2, B: 3, C: 4, D: 1, E: 5}
INPUTS = {A: [], B: [A], C: [A], D: [B, C], E: [("toy", "done")]}


@pytest.mark.parametrize(
    ("machines", "seconds"),
    [
        (1, 15),  # the sum
        (2, 10),  # a 0-2 and e 0-5; b 2-5, c 5-9; d, which waits for c, 9-10
        (3, 7),  # a 0-2, e 0-5, b 2-5, c 2-6, d 6-7
        (99, 7),
    ],
)
def test_a_free_machine_takes_the_first_row_that_can_run(machines: int, seconds: float) -> None:
    assert schedule(SECONDS, INPUTS, machines).seconds == seconds


def test_the_longest_chain_does_not_depend_on_the_machines() -> None:
    for machines in (1, 2, 3):
        found = schedule(SECONDS, INPUTS, machines)
        assert (found.path, found.longest) == ((A, C, D), 7)


def test_nothing_takes_no_time() -> None:
    assert schedule({}, {}, 1) == (0, (), 0)
