"""The stage ``nasbench301``: everything that is measured of the benchmark's architectures in one supernet of the DARTS
space (:mod:`pipeline.scoring.readings`)."""

from __future__ import annotations

from functools import partial

from models.errors import GenasError
from models.spaces.darts.genotype import Genotype
from models.spaces.darts.supernet import Supernet
from pipeline.config import Params
from pipeline.context import Context
from pipeline.nasbench301.benchmark import load_benchmark, table_of
from pipeline.probe.fast import settled
from pipeline.probe.images import load_probe_data
from pipeline.scoring.measuring import Request, Score
from pipeline.scoring.readings import evenly, read_all, reader
from pipeline.supernet.network import load_supernets, training_of
from pipeline.supernet.weights import weights_of


def sample(params: Params) -> list[Genotype]:
    """The first so many architectures of the table, or all.

    Raises:
        GenasError: it has not so many, or is wrong.
    """
    count, found = params.nasbench301.required.architectures, load_benchmark(table_of(params)).index
    if count is not None and count > len(found):
        raise GenasError(f"nasbench301.settings.architectures: {count} of {len(found)}")
    return [Genotype.decode([int(number) for number in text.split()]) for text in found[:count]]


def make_scorer(context: Context, request: Request, scorer: str) -> Score:
    """A function that measures everything of one architecture of the row's supernet, by a scorer by name."""
    settings, seed = context.params.nasbench301.required, int(context.axes["seed"])
    taken = settings.measures.model_copy(update={"scorer": scorer})
    data = load_probe_data(context, training_of(context), taken)
    curved = set(evenly(sample(context.params), settings.hessian))
    return reader(settings, taken, data, load_supernets(context, data.num_classes), seed, curved, request)


def run(context: Context) -> dict[str, float]:
    """Measure the architectures; leaves a table with a row for each.

    Raises:
        GenasError: the benchmark's table is missing or wrong, or one could not be measured.
    """
    settings, genotypes = context.params.nasbench301.required, sample(context.params)
    scorer = context.notes["scorer"] = settled(settings.measures, Supernet.space, context.device).scorer
    make, weights = partial(make_scorer, scorer=scorer), weights_of(context, "supernet")
    return read_all(context, settings.measured, genotypes, make, weights, table_of(context.params))
