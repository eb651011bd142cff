"""The work of stages that pass nothing through a network: a few seconds each, on any machine."""

from __future__ import annotations

from pipeline.forecast.work import Forecast, Profile, Work
from pipeline.stages import STAGES, Key, rows_of

PICTURE = 0.4
"""Seconds to draw a picture."""
SCAN = 1.0
"""Seconds to look at a data set that has not changed much."""
TABLE = 0.8
"""Seconds to read a table and to write another."""
RESAMPLES = 2e-4
"""Seconds of a score of a thousand architectures in one resample."""
SPACE = 30.0
"""Seconds for what is computed of the whole space: forests and searches."""


def _constant(seconds: float) -> Forecast:
    return Forecast(lambda profile, key: Work(seconds=seconds))


def pictures(profile: Profile, key: Key) -> Work:
    """A picture of each kind for each row that is reported."""
    params = profile.params
    count = sum(len(stage.pictures) * len(rows_of(params, name)) for name, stage in STAGES.items() if stage.reported)
    return Work(seconds=TABLE + PICTURE * count, disk=1e5 * count)


def laboratory(profile: Profile, key: Key) -> Work:
    """Truths x scores x resamples of the runs' architectures."""
    from pipeline.nasbench201.laboratory.scores import SCORES

    laboratory = profile.params.nasbench201
    settings, truths = laboratory.required, laboratory.laboratory[key[1]].truths
    runs = sum(run.group == key[1] for run in laboratory.runs.values())
    scores = len({*SCORES, *settings.measured})
    count = runs * len(truths) * scores * settings.bootstrap * (settings.architectures or 15625) / 1000
    return Work(seconds=TABLE + SPACE + RESAMPLES * count, disk=1e6)


def laboratory301(profile: Profile, key: Key) -> Work:
    """Scores x resamples of the runs' architectures."""
    from pipeline.nasbench201.laboratory.scores import SCORES

    settings, runs = profile.params.nasbench301.required, rows_of(profile.params, "nasbench301")
    scores = len({*SCORES, *settings.measured})
    count = len(runs) * scores * settings.bootstrap * (settings.architectures or 800) / 1000
    return Work(seconds=TABLE + RESAMPLES * count, disk=1e6)


SCANS, TABLES = _constant(SCAN), _constant(TABLE)
PICTURES, LABORATORY, LABORATORY301 = (Forecast(work) for work in (pictures, laboratory, laboratory301))
