"""How much each slip of the released code changes a search's order (``genas bench sensitivity``).

The same random architectures are scored in the same trained supernet as a profile says, then with one setting of the
profile ``official`` at a time, then with all of them. What concerns training takes another supernet each. Beside them
stand another draw of the noise and another seed of the supernet, which say how much is chance.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau
from tqdm import tqdm

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import Genotype, sample
from genas.pipeline.config import PROFILES, FlatnessParams, MeasureParams, MetricParams, load_params
from genas.pipeline.context import Context
from genas.pipeline.measures import combine, take
from genas.pipeline.probe.fast import make_probe, settled
from genas.pipeline.probe.images import load_probe_data
from genas.pipeline.report.page import table
from genas.pipeline.supernet import stage as supernet
from genas.pipeline.supernet.network import load_supernets, training_of

METRICS = {
    "flatness": {"flatness": 1.0},
    "accuracy": {"accuracy": 1.0},
    "angle": {"angle": 1.0},
    "angle + flatness": {"angle": 1.0, "flatness": 16.0},
}
"""What a search of the release maximises, by terms."""
FLAT = [key for key in FlatnessParams.model_fields if key not in ("sigma", "draws") and "hessian" not in key]
SLIPS = (*(f"flatness.{key}" for key in FLAT), "recalibrate", "recalibrate_augmented", "mean", "angle.version")
"""Settings of the measures in which the release may differ; not how much is looked at."""
WITH = {"mean": ("batch_size",)}
"""What says nothing without another one."""
TRAINING = ("split", "unselected")
"""Settings of the supernet's training among the slips."""
Values = Mapping[str, np.ndarray]


def with_released(own: MeasureParams, released: MeasureParams, slips: Iterable[str]) -> MeasureParams:
    """The profile's settings of the measures with some of :data:`SLIPS` as the release has them."""
    update: dict[str, Any] = {}
    for slip in slips:
        section, _, key = slip.partition(".")
        if key:
            before = update.get(section, getattr(own, section))
            update[section] = before.model_copy(update={key: getattr(getattr(released, section), key)})
        else:
            update |= {name: getattr(released, name) for name in (slip, *WITH.get(slip, ()))}
    return own.model_copy(update=update)


def differing(own: MeasureParams, released: MeasureParams) -> dict[str, str]:
    """Those of :data:`SLIPS` in which the profile is not the release, by themselves with the release's value
    (``flatness.noise: cumulative``)."""
    found = {slip: (attrgetter(slip)(own), attrgetter(slip)(released)) for slip in SLIPS}
    return {
        f"{slip}: {str(theirs).replace('True', 'true').replace('False', 'false')}": slip
        for slip, (ours, theirs) in found.items()
        if ours != theirs
    }


def values(context: Context, params: MeasureParams, genotypes: list[Genotype], seed: int, what: str) -> Values:
    """Every term of every architecture in the row's supernet, by name; noise by ``seed``."""
    data = load_probe_data(context, training_of(context), params)
    initial, trained = load_supernets(context, data.num_classes)
    probe = make_probe(trained, data, settled(params, trained.space, context.device, trained.stem_kind), seed, initial)
    rows = [take(probe, one, ["flatness", "accuracy", "angle"]) for one in tqdm(genotypes, what, disable=None)]
    return {name: np.array([row[name] for row in rows]) for name in ("flatness", "accuracy", "angle")}


@contextmanager
def another_supernet(context: Context, seed: str, **update: Any) -> Iterator[Context]:
    """The row with a supernet that is trained with other settings, or another seed, in a folder that then goes."""
    dataset = context.axes["dataset"]
    training = context.params.supernet[dataset].model_copy(update=update)
    params = context.params
    rows = params.matrix.supernet.model_copy(update={"seed": (int(seed),)})  # the profile's own may lack the seed
    matrix = params.matrix.model_copy(update={"supernet": rows})
    changed = params.model_copy(update={"matrix": matrix, "supernet": {**params.supernet, dataset: training}})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "out").mkdir()
        (Path(folder) / "out" / "data").symlink_to((context.root / "out" / "data").resolve())
        axes = {"dataset": dataset, "seed": seed}
        row = replace(context, stage="supernet", axes=axes, params=changed, root=Path(folder))
        row.out.mkdir(parents=True)
        supernet.run(row)
        yield row


def compared(before: Values, after: Values, params: MeasureParams) -> dict[str, Any]:
    """For each metric, Kendall's tau between the scores, and where the winner of the one stands in the other."""
    result = {}
    for name, terms in METRICS.items():
        metric = MetricParams(terms=terms, combine="sum", strategy="evolution")
        old, new = (combine(one, metric, params) for one in (before, after))
        place = int((old > old[new.argmax()]).sum()) + 1
        result[name] = {"tau": float(kendalltau(old, new).statistic), "place_of_the_new_winner": place}
    return result


def trained_row(root: Path, dataset: str) -> Context:
    """The row of a profile's first supernet of a data set.

    Raises:
        GenasError: the profile has no such supernet, or it is not trained.
    """
    params = load_params(root)
    if dataset not in params.supernet:
        defined = ", ".join(params.supernet)
        raise GenasError(f"profile {params.profile}: no supernet of {dataset!r}, defined are {defined}")
    context = Context("supernet", {"dataset": dataset, "seed": "0"}, params, root)
    if not (context.out / "metrics.json").exists():
        raise GenasError(f"supernet@{context.row} is not trained: genas run supernet@{context.row} --profile {root}")
    return context


def run(root: Path, dataset: str, architectures: int) -> dict[str, Any]:
    """Score random architectures of a profile's supernet under every setting.

    Args:
        root: the profile's folder, whose supernet ``<dataset>-0`` is trained.
        dataset: the supernet's.
        architectures: how many.

    Returns:
        ``{"architectures", "rows": {setting: {metric: {"tau", "place_of_the_new_winner"}}}}``.

    Raises:
        GenasError: the profile has no such supernet, or it is not trained.
    """
    context, released = trained_row(root, dataset), load_params(PROFILES["official"])
    genotypes, params = sample(architectures, 0), context.params.measures
    before = values(context, params, genotypes, 0, "as the profile says")
    found = differing(params, released.measures)
    alone = {name: [slip] for name, slip in found.items()}
    rows: dict[str, Any] = {}
    for name, slips in {**alone, "all of these": list(found.values())}.items():
        other = with_released(params, released.measures, slips)
        rows[name] = compared(before, values(context, other, genotypes, 0, name), params)
    theirs = next(iter(released.supernet.values()))
    for key in TRAINING:
        value = getattr(theirs, key)
        with another_supernet(context, "0", trainer=theirs.trainer, **{key: value}) as row:
            rows[f"supernet.{key}: {value}"] = compared(before, values(row, params, genotypes, 0, key), params)
    rows["chance: another draw of the noise"] = compared(before, values(context, params, genotypes, 1, "noise"), params)
    with another_supernet(context, "1") as row:
        rows["chance: another supernet"] = compared(before, values(row, params, genotypes, 0, "supernet"), params)
    return {"architectures": architectures, "rows": rows}


def markdown(result: dict[str, Any]) -> str:
    """The rows as a table: tau, and in brackets the place that the new winner had before."""
    rows = [
        (name, *(f"{one['tau']:.3f} ({one['place_of_the_new_winner']})" for one in row.values()))
        for name, row in result["rows"].items()
    ]
    return table(("setting", *METRICS), rows)
