"""The finalists of a search."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genas.pipeline.drawing.searches import finalist_losses


def test_finalists_are_the_best_and_never_out_of_quarantine() -> None:
    table = pd.DataFrame({"score": [1.0, np.nan, 3.0, 3.0, 2.0, 0.5, 0.6], "encoding": list("abdcefg")})
    table["loss_0"], table["loss_1"] = [0.1, 9.9, 0.3, 0.4, 0.2, 0.5, 0.6], range(7)
    losses = finalist_losses(table, [0.001, 0.003])
    assert losses is not None
    assert losses.columns.tolist() == [1, 2, 3, 4, 5]
    assert losses.loc[0.001].tolist() == [0.4, 0.3, 0.2, 0.1, 0.6], "best first, ties by encoding"
    assert losses.loc[0.003].tolist() == [3, 2, 4, 0, 6]
    assert finalist_losses(table, [0.001, 0.003, 0.006]) is None, "flatness was not measured"
