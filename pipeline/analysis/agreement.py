"""The ``agreement`` stage: how far the search measures rank alike, and how sure a value of flatness is.

All measures are taken of the same random architectures of one trained supernet, and compared by Kendall's tau, as
Table 1 compares measures with the truth. The standard error of flatness comes from replicates, each with its own images
and noise, by the number of images and of draws.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import kendalltau
from tqdm import tqdm

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import Genotype, sample
from genas.pipeline import measures
from genas.pipeline.config import MeasureParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.measures.flatness import draw_losses, flatness
from genas.pipeline.probe.fast import make_probe
from genas.pipeline.probe.images import load_probe_data
from genas.pipeline.scoring.measuring import scoring, with_scorer
from genas.pipeline.search.candidates import Candidate, write_candidates
from genas.pipeline.supernet.network import load_supernets, training_of
from genas.pipeline.supernet.weights import weights_of

CHUNK = 20
"""Architectures measured between two saves."""


def measure_all(context: Context, scratch: Scratch, genotypes: list[Genotype]) -> list[Candidate]:
    """The measures of every architecture, as a search keeps them."""
    names = context.params.agreement.measures
    candidates: list[Candidate] = scratch.load("candidates.pt") or []
    with (
        scoring(context, names) as score_all,
        tqdm(total=len(genotypes), initial=len(candidates), unit="cell", disable=None) as bar,
    ):
        while len(candidates) < len(genotypes):
            chunk = genotypes[len(candidates) : len(candidates) + CHUNK]
            for genotype, values in zip(chunk, score_all(chunk), strict=True):
                candidates.append({"encoding": list(genotype.encode()), "generation": 0, **values})
                bar.update()
            scratch.save("candidates.pt", candidates)
    return candidates


def rank_agreement(table: pd.DataFrame, names: tuple[str, ...], params: MeasureParams) -> pd.DataFrame:
    """Kendall's tau (tau-b) between each pair of measures, each turned so that larger is better; (n, n), 1 on the
    diagonal, missing where a measure is constant."""
    turned = {name: measures.scaled({name: table[name].to_numpy()}, name, params) for name in names}
    result = pd.DataFrame(np.eye(len(names)), index=list(names), columns=list(names))
    for first, second in combinations(names, 2):
        tau = kendalltau(turned[first], turned[second]).statistic
        result.loc[first, second] = result.loc[second, first] = tau
    return result


def standard_errors(values: np.ndarray, draws: tuple[int, ...]) -> list[float]:
    """Standard error of the mean over the first d draws, for each d, in percent of the value.

    Args:
        values: flatness (architectures, replicates, draws), each replicate with its own images and noise.
        draws: the d.

    Returns:
        The standard deviation over the replicates by their mean, averaged over the architectures.
    """
    means = [values[:, :, :count].mean(axis=2) for count in draws]
    return [float(np.mean(100 * mean.std(axis=1, ddof=1) / mean.mean(axis=1))) for mean in means]


def replicate(context: Context, data: SearchData, number: int, images: int) -> tuple[SearchData, MeasureParams, int]:
    """The held-out images, settings and seed of one replicate."""
    settings, seed = context.params.measures, context.seed()
    rng = np.random.default_rng([seed, 6, number])
    if images > len(data.held_labels):
        raise GenasError(f"agreement.error.images: {images} of {len(data.held_labels)} held-out images")
    chosen = rng.choice(len(data.held_labels), images, replace=False)
    drawn = settings.flatness.model_copy(update={"draws": max(context.params.agreement.error.draws)})
    own = data._replace(held_images=data.held_images[chosen], held_labels=data.held_labels[chosen])
    return own, settings.model_copy(update={"images": images, "flatness": drawn}), int(rng.integers(2**31))


def flatness_errors(context: Context, scratch: Scratch, genotypes: list[Genotype]) -> pd.DataFrame:
    """The standard error of flatness in percent: a row for each number of images, a column for each number of draws."""
    params, flat = context.params.agreement.error, context.params.measures.flatness
    data = load_probe_data(context, training_of(context), context.params.measures, all_held=True)
    network = load_supernets(context, data.num_classes)[1]
    wanted = [(images, number) for images in params.images for number in range(params.replicates)]
    values: list[list[list[float]]] = scratch.load("errors.pt") or []  # (replicates of all sizes, architectures, draws)
    for images, number in tqdm(wanted[len(values) :], "error", len(wanted), initial=len(values), disable=None):
        own, settings, seed = replicate(context, data, number, images)
        probe = make_probe(network, own, settings, seed)
        drawn = [draw_losses(probe, genotype, settings) for genotype in genotypes]
        values.append([[flatness(losses, flat.sigma, flat.alpha) for losses in draws] for draws in drawn])
        scratch.save("errors.pt", values)
    shaped = np.array(values).reshape(len(params.images), params.replicates, len(genotypes), max(params.draws))
    rows = [standard_errors(replicates.swapaxes(0, 1), params.draws) for replicates in shaped]
    return pd.DataFrame(rows, index=pd.Index(params.images, name="images"), columns=list(params.draws))


def run(context: Context) -> dict[str, float]:
    """Measure a sample of architectures; leaves every value, the agreement and the errors as tables.

    Raises:
        GenasError: fewer than two architectures could be measured.
    """
    context = with_scorer(context)
    params = context.params
    scratch = Scratch(context, weights_of(context, "supernet"))
    sizes = (params.agreement.architectures, params.agreement.error.architectures)
    genotypes = sample(max(sizes), context.seed())
    table = write_candidates(context.out / "candidates.parquet", measure_all(context, scratch, genotypes[: sizes[0]]))
    sound = table[table["error"] == ""]
    if len(sound) < 2:
        raise GenasError(f"agreement {context.row}: {len(sound)} architectures could be measured")
    tau = rank_agreement(sound, params.agreement.measures, params.measures)
    tau.rename_axis("measure").to_csv(context.out / "agreement.csv")
    flatness_errors(context, scratch, genotypes[: sizes[1]]).to_csv(context.out / "errors.csv")
    scratch.close()
    names = params.agreement.measures
    pairs = {f"tau_{names[i]}_{names[j]}": float(tau.to_numpy()[i, j]) for i, j in combinations(range(len(names)), 2)}
    return {**pairs, "architectures": len(sound)}
