"""How tau depends on training length: the measures judged in snapshots that a supernet's training left on the way."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from genas.pipeline.laboratory.judge import Judge
from genas.pipeline.laboratory.scores import Score


def training_length(judges: Mapping[int, Mapping[str, Judge]], scores: Mapping[str, Score]) -> pd.DataFrame:
    """Tau of every measure against every truth after so many epochs, the shortest training first.

    Args:
        judges: by the number of epochs, and by truth; of each number, the supernets that have a snapshot there or end
            there.
        scores: the measures by name.
    """
    rows = [
        {"truth": truth, "measure": name, "epochs": epochs, "seeds": len(judge.runs), **judge.tau(score).row()}
        for epochs, judged in sorted(judges.items())
        for truth, judge in judged.items()
        for name, score in scores.items()
    ]
    return pd.DataFrame(rows)
