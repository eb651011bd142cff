"""One stage: ``dvc repro --single-item`` in a process of its own, the time that it may take, what its output tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genas.flows import environment
from genas.flows.graph import kind
from genas.flows.machines.restored import drop_damaged
from genas.flows.plan import DVC, log_file
from genas.flows.processes.children import Children, StageError
from genas.models.errors import GenasError
from genas.pipeline.stages import STAGES


@dataclass(frozen=True)
class Policy:
    """How a stage is run; nothing here changes what it computes. A retry goes on where the stage was."""

    hours: float
    retries: int = 2
    delay_seconds: float = 10


POLICIES = {name: Policy(stage.hours) for name, stage in STAGES.items()}
DEFAULT = Policy(hours=4)
"""Of stages that a user's own ``dvc.yaml`` adds."""


MISTAKE = 2
"""The exit status of a stage that met a user's error."""


class Output:
    """What a stage's output tells about its end."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.word = "done"
        self.said = ""
        self.status = 0
        self.last = ""

    def read(self, line: str) -> None:
        """Take in one line."""
        if line.startswith("error: "):
            self.said = line.removeprefix("error: ")
        elif status := re.search(r"^ERROR: failed to reproduce .*, exited with (\d+)$", line):
            self.status = int(status[1])
        elif blocker := re.match(r"\s+\((PID \d+)\): (.*)", line):  # DVC's advice would be to delete a lock
            self.said = f"another DVC process ({blocker[1]}: {blocker[2]}) is working on it"
        elif line.startswith(f"Stage '{self.stage}' didn't change"):
            self.word = "unchanged"
        elif line.startswith(f"Stage '{self.stage}' is cached"):
            self.word = "restored"
        if line.strip() and not (self.last and line.startswith("ERROR: failed to reproduce")):
            self.last = line.strip()  # DVC's closing line says less than the stage's own

    @property
    def user_error(self) -> str:
        """The user's error that ended the stage, or nothing."""
        return self.said if self.status == MISTAKE else ""


def policy_of(stage: str) -> Policy:
    """How a row is run."""
    return POLICIES.get(kind(stage), DEFAULT)


def reproduce_stage(
    stage: str, folder: Path, children: Children, tell: Callable[[str], None], *options: str, **surroundings: str
) -> str:
    """Bring one row up to date; its output goes to ``tell`` and to a file.

    Args:
        stage: the row, as DVC names it.
        folder: the profile's folder.
        children: the processes of this run.
        tell: takes each line.
        options: further options of ``dvc repro``.
        surroundings: further environment variables.

    Returns:
        ``done``, ``restored`` (from DVC's cache of runs) or ``unchanged``.

    Raises:
        GenasError: the stage met a user's error, which trying again does not mend.
        StageError: it crashed, or ran out of time.
    """
    path, output = log_file(folder, stage), Output(stage)
    with path.open("a", buffering=1) as log:

        def read(line: str) -> None:
            output.read(line)
            tell(line)
            log.write(line + "\n")

        command = [*DVC, "repro", "--single-item", *options, stage]
        limit = policy_of(stage).hours * 3600
        try:
            status = children.run(command, folder, environment.of_children(**surroundings), read, limit)
        except TimeoutError as error:
            raise StageError(f"{stage}: {error} (log: {path})") from None
    if status and output.user_error:
        raise GenasError(f"{stage}: {output.user_error}")
    if status:
        reason = output.said or output.last or f"exit status {status}"
        raise StageError(f"{stage}: {reason} (log: {path})")
    if output.word == "restored" and (dropped := drop_damaged(folder, stage)):
        tell(f"warning: DVC's cache of {', '.join(dropped)} is damaged: made again")
        return reproduce_stage(stage, folder, children, tell, *options, **surroundings)
    return output.word
