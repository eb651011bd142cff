"""What the command line shows of a run: flows report through a logger, the terminal listens."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

LOGGER = logging.getLogger("genas.flows.progress")
COLOURS = {"waiting": "dim", "running": "cyan", "failed": "red", "not run": "yellow"}


def report(stage: str, state: str, detail: str = "") -> None:
    """Say that ``stage`` (a row, as DVC names it) is now in ``state``."""
    said = f"{stage}: {state}{f' ({detail})' if detail else ''}"
    LOGGER.info(said, extra={"stage": stage, "state": state, "detail": detail})


class Lines(logging.Handler):
    """One line for each report."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(record.getMessage(), highlight=False, markup=False, soft_wrap=True)


class Board(logging.Handler):
    """A table of the rows and their states, redrawn in place; itself the renderable."""

    def __init__(self, stages: Iterable[str]) -> None:
        super().__init__()
        self.rows = dict.fromkeys(stages, ("waiting", ""))
        self.started: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        stage, state, detail = (getattr(record, name) for name in ("stage", "state", "detail"))
        if state == "running":
            self.started[stage] = time.monotonic()
        self.rows[stage] = (state, detail)

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        for stage, (state, detail) in self.rows.items():
            since = f"{time.monotonic() - self.started[stage]:.0f} s" if state == "running" else ""
            colour = COLOURS.get(state, "green")
            table.add_row(stage, f"[{colour}]{state}[/]", " ".join(part for part in (since, detail) if part))
        return table


@contextmanager
def shown(console: Console, stages: Iterable[str] = ()) -> Iterator[None]:
    """Show reports while the block runs: a board of ``stages`` on a terminal, lines elsewhere."""
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    board = Board(stages) if console.is_terminal and stages else None
    handler = board or Lines(console)
    LOGGER.addHandler(handler)
    try:
        if board is None:
            yield
        else:
            with Live(board, console=console, refresh_per_second=4, vertical_overflow="ellipsis"):
                yield
    finally:
        LOGGER.removeHandler(handler)
