"""The work of stages that pass nothing through a network: a few seconds each, on any machine."""

from __future__ import annotations

from genas.pipeline.config import LaboratoryParams
from genas.pipeline.forecast.work import Forecast, Profile, Work
from genas.pipeline.stages import STAGES, Key, rows_of

PICTURE = 0.4
"""Seconds to draw a picture."""
SCAN = 1.0
"""Seconds to look at a data set that has not changed much."""
TABLE = 0.8
"""Seconds to read a table and to write another."""
RESAMPLES = 2e-4
"""Seconds of a score of a thousand architectures in one resample."""
SIZE201, SIZE301 = 15625, 800
"""Architectures of the benchmarks' tables."""
DISTINCT201 = 10405
"""Of those of NAS-Bench-201, how many are measured for all (:func:`genas.pipeline.nasbench201.measuring.pruned`)."""
SPACE = 30.0
"""Seconds for what is computed of the whole space: forests and searches."""


def _constant(seconds: float) -> Forecast:
    return Forecast(lambda profile, key: Work(seconds=seconds))


def pictures(profile: Profile, key: Key) -> Work:
    """A picture of each kind for each row that is reported."""
    params = profile.params
    count = sum(len(stage.pictures) * len(rows_of(params, name)) for name, stage in STAGES.items() if stage.reported)
    return Work(seconds=TABLE + PICTURE * count, disk=1e5 * count)


def _judging(settings: LaboratoryParams, runs: int, truths: int, architectures: int) -> float:
    """Seconds for truths x scores x resamples of the runs' architectures."""
    from genas.pipeline.laboratory.scores import SCORES

    scores = len({*SCORES, *settings.measured})
    return RESAMPLES * runs * truths * scores * settings.bootstrap * (settings.architectures or architectures) / 1000


def laboratory(profile: Profile, key: Key) -> Work:
    """Everything judged, and what is computed of the whole space."""
    known = profile.params.nasbench201
    runs = sum(run.group == key[1] for run in known.runs.values())
    seconds = _judging(known.required, runs, len(known.laboratory[key[1]].truths), SIZE201)
    return Work(seconds=TABLE + SPACE + seconds, disk=1e6)


def laboratory301(profile: Profile, key: Key) -> Work:
    """Everything judged by one truth."""
    runs = len(rows_of(profile.params, "nasbench301"))
    return Work(seconds=TABLE + _judging(profile.params.nasbench301.required, runs, 1, SIZE301), disk=1e6)


SCANS, TABLES = _constant(SCAN), _constant(TABLE)
PICTURES, LABORATORY, LABORATORY301 = (Forecast(work) for work in (pictures, laboratory, laboratory301))
