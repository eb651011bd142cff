"""A random forest on graph features, fitted to the accuracies of some trained networks (GRAF's kind of opponent:
Kadlecová et al., 2024, without its proxies), judged on the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from genas.pipeline.config import Settings201
from genas.pipeline.laboratory.opponents.graphs import features
from genas.pipeline.laboratory.ranking import Array, pick, tau


def forecast(known: Array, labels: NDArray[np.intp], truth: Array, seed: int) -> Array:
    """What a forest foretells of all architectures, (n,): a hundred trees, scikit-learn's own settings.

    Args:
        known: features, (n, f).
        labels: places of those whose truth it is fitted to.
        truth: accuracies in percent, (n,).
        seed: of the forest.
    """
    model = RandomForestRegressor(n_estimators=100, random_state=seed, n_jobs=1)
    return np.asarray(model.fit(known[labels], truth[labels]).predict(known))


def forests(
    truths: dict[str, Array], graphs: pd.DataFrame, measured: NDArray[np.intp], settings: Settings201
) -> pd.DataFrame:
    """Tau and pick of forests by the number of labels: mean and standard deviation over draws of the labels.

    Labels are drawn from the whole space; none that computes the same as one of them is judged by.

    Args:
        truths: accuracies of the whole space in percent, (n,), by name.
        graphs: of the whole space, with the class of each architecture.
        measured: places of the architectures that were measured in supernets.
        settings: ``labels`` and ``forests``.
    """
    known, classes = features(list(graphs.index)), graphs["graph"].to_numpy()
    rows = []
    for truth, accuracy in truths.items():
        for count in settings.labels:
            found: dict[str, list[tuple[float, float]]] = {"measured": [], "whole space": []}
            for seed in range(settings.forests):
                labels = np.random.default_rng([201, count, seed]).choice(len(known), count, replace=False)
                told = forecast(known, labels, accuracy, seed)
                unseen = ~np.isin(classes, classes[labels])
                for name, part in (("measured", measured[unseen[measured]]), ("whole space", np.flatnonzero(unseen))):
                    if len(part) > 1:
                        found[name].append((tau(told[part], accuracy[part]), pick(told[part], accuracy[part])))
            for name, values in found.items():
                if values:
                    mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
                    about = {"truth": truth, "labels": count, "judged on": name, "draws": len(values)}
                    rows.append(
                        {**about, "tau": mean[0], "tau spread": spread[0], "pick": mean[1], "pick spread": spread[1]}
                    )
    return pd.DataFrame(rows)
