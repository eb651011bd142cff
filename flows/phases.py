"""The named flows: each brings the part of the graph up to date that it is named for, with what that depends on."""

from __future__ import annotations

from prefect import flow

from flows.reproduce import JOBS, bring_up_to_date
from flows.version import VERSION
from pipeline.config import load_params, profile_folder


def phase(profile: str, targets: tuple[str, ...], jobs: int) -> dict[str, str]:
    """Check the profile's parameters, then bring ``targets`` up to date; inside a flow.

    Raises:
        GenasError: wrong parameters or a user's mistake in a stage.
        StageError: a stage failed.
    """
    folder = profile_folder(profile)
    load_params(folder)
    return bring_up_to_date(folder, targets, jobs, None)


@flow(version=VERSION, flow_run_name="supernet-{profile}")
def supernet(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
    """Train every supernet."""
    return phase(profile, ("supernet",), jobs)


@flow(version=VERSION, flow_run_name="search-{profile}")
def search(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
    """Search with every metric, rate the candidates with other gammas, compare the measures."""
    return phase(profile, ("search", "rerank", "agreement"), jobs)


@flow(version=VERSION, flow_run_name="laboratory-{profile}")
def laboratory(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
    """Judge the measures on NAS-Bench-201."""
    return phase(profile, ("laboratory",), jobs)


@flow(version=VERSION, flow_run_name="retrain-{profile}")
def retrain(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
    """Train every found and every published cell on its own."""
    return phase(profile, ("retrain",), jobs)


@flow(version=VERSION, flow_run_name="shift-{profile}")
def shift(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
    """Evaluate the retrained networks under distribution shift."""
    return phase(profile, ("shift",), jobs)


@flow(version=VERSION, flow_run_name="detect-{profile}")
def detect(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
    """Train and evaluate RetinaNet on the retrained backbones."""
    return phase(profile, ("detect",), jobs)


@flow(version=VERSION, flow_run_name="segment-{profile}")
def segment(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
    """Train and evaluate DeepLab-v3 on the retrained backbones."""
    return phase(profile, ("segment",), jobs)


@flow(version=VERSION, flow_run_name="paper-{profile}")
def paper(profile: str = "paper", jobs: int = JOBS) -> dict[str, str]:
    """Everything: the whole graph of the profile, down to its report."""
    return phase(profile, (), jobs)


PHASES = (supernet, search, laboratory, retrain, shift, detect, segment, paper)
"""The named flows, in the order of the chain."""
