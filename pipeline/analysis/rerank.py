"""The ``rerank`` stage: the candidates of a search rated anew with another gamma, without a forward pass (Table 8).

Every term of every candidate is in the search's table, so Eq. 5 with another weight of flatness is arithmetic, and
gives what a search with that gamma would give the same candidates.
"""

from __future__ import annotations

from genas.pipeline.config import MetricParams
from genas.pipeline.context import Context
from genas.pipeline.search.candidates import leave_winner, read_candidates, write_candidates
from genas.pipeline.search.evolution import best_of, flatness_share, rate


def weighed(metric: MetricParams, gamma: float) -> MetricParams:
    """The metric with gamma as its weight of flatness; gamma 0 leaves the other terms alone."""
    return metric.model_copy(update={"terms": {**metric.terms, "flatness": gamma}})


def run(context: Context) -> dict[str, float]:
    """Rate a search's candidates with the row's gamma; leaves the new winner and the table.

    Raises:
        GenasError: the table is missing or unreadable.
    """
    params, searched, gamma = context.params, context.axes["search"], float(context.axes["gamma"])
    metric = weighed(params.metric_of(searched), gamma)
    candidates = read_candidates(context.output_of("search", searched) / "candidates.parquet")
    rate(candidates, metric, params.measures)
    metrics = leave_winner(context, best_of(candidates, 1)[0], search=searched, gamma=gamma)
    write_candidates(context.out / "candidates.parquet", candidates)
    return {**metrics, "flatness_share": flatness_share(candidates, metric, params.measures)}
