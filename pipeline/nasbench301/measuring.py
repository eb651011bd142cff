"""The stage ``nasbench301``: everything that is measured of the benchmark's architectures in one supernet of the DARTS
space (:mod:`genas.pipeline.scoring.readings`)."""

from __future__ import annotations

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import Genotype
from genas.models.spaces.darts.supernet import Supernet
from genas.pipeline.config import Params
from genas.pipeline.context import Context
from genas.pipeline.nasbench301.benchmark import load_benchmark, table_of
from genas.pipeline.scoring.measuring import Request, Score
from genas.pipeline.scoring.readings import read_all, reader
from genas.pipeline.supernet.network import load_supernets, training_of
from genas.pipeline.supernet.weights import weights_of


def sample(params: Params) -> list[Genotype]:
    """The first so many architectures of the table, or all.

    Raises:
        GenasError: it has not so many, or is wrong.
    """
    count, found = params.nasbench301.required.architectures, load_benchmark(table_of(params)).index
    if count is not None and count > len(found):
        raise GenasError(f"nasbench301.settings.architectures: {count} of {len(found)}")
    return [Genotype.parse(text) for text in found[:count]]


def make_scorer(context: Context, request: Request, scorer: str) -> Score:
    """A function that measures everything of one architecture of the row's supernet, by a scorer by name."""
    settings = context.params.nasbench301.required
    return reader(context, request, scorer, settings, training_of(context), load_supernets, sample(context.params))


def run(context: Context) -> dict[str, float]:
    """Measure the architectures; leaves a table with a row for each.

    Raises:
        GenasError: the benchmark's table is missing or wrong, or one could not be measured.
    """
    params, weights = context.params, weights_of(context, "supernet")
    settings, genotypes = params.nasbench301.required, sample(params)
    space, stem = Supernet.space, training_of(context).stem
    return read_all(context, settings, space, genotypes, make_scorer, weights, table_of(params), stem=stem)
