"""The named flows: each brings the part of the graph up to date that it is named for, with what that depends on.

Which stages a flow is for is said in the table of stages (:mod:`genas.pipeline.stages`).
"""

from __future__ import annotations

from prefect import Flow, flow

from genas.flows.processes.lock import run_lock
from genas.flows.reproduce import JOBS, bring_up_to_date
from genas.flows.version import VERSION
from genas.pipeline.config import load_params, profile_folder
from genas.pipeline.stages import STAGES

Phase = Flow[..., dict[str, str]]


def targets_of(name: str) -> tuple[str, ...]:
    """The stages that a named flow brings up to date."""
    return tuple(stage.name for stage in STAGES.values() if stage.flow == name)


def named_flow(name: str, targets: tuple[str, ...], about: str) -> Phase:
    """A flow that checks a profile's parameters and brings ``targets`` up to date, after any other run of the profile.

    It raises ``GenasError`` for wrong parameters or a user's mistake in a stage, ``StageError`` where a stage failed.

    Args:
        name: of the flow, and of the variable of this module that holds it, by which Prefect finds it.
        targets: stages; none means everything.
        about: one sentence.
    """

    def phase(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
        folder = profile_folder(profile)
        load_params(folder)
        with run_lock(folder, wait=True):
            return bring_up_to_date(folder, targets, jobs, None)

    phase.__name__ = phase.__qualname__ = name
    phase.__doc__ = about
    return flow(name=name, version=VERSION, flow_run_name=f"{name}-{{profile}}")(phase)


supernet = named_flow("supernet", targets_of("supernet"), "Train every supernet.")
search = named_flow(
    "search",
    targets_of("search"),
    "Search with every metric, rate the candidates with other gammas, compare measures, and tell what chance does.",
)
laboratory = named_flow("laboratory", targets_of("laboratory"), "Judge the measures on NAS-Bench-201.")
retrain = named_flow("retrain", targets_of("retrain"), "Train every found and every published cell on its own.")
shift = named_flow("shift", targets_of("shift"), "Evaluate the retrained networks under distribution shift.")
detect = named_flow("detect", targets_of("detect"), "Train and evaluate RetinaNet on the retrained backbones.")
segment = named_flow("segment", targets_of("segment"), "Train and evaluate DeepLab-v3 on the retrained backbones.")
paper = named_flow("paper", (), "Everything: the whole graph of the profile, down to its report.")

PHASES: tuple[Phase, ...] = (supernet, search, laboratory, retrain, shift, detect, segment, paper)
"""The named flows, in the order of the chain."""
