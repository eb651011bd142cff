"""Tables beside the benchmark: how accurate its networks are under attack, and what others measured of them untrained.

Both are optional parquet files, and read as strictly as the benchmark itself.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from genas.models.errors import GenasError
from genas.pipeline.laboratory.benchmark import (
    check_accuracies,
    check_architectures,
    check_known,
    check_once,
    check_percent,
    numbers,
    parquet,
)

ATTACKS = {"fgsm": "FGSM", "pgd": "PGD", "apgd": "APGD", "square": "Square"}
"""What attacks are called (Jung et al., ICLR 2023); APGD is AutoAttack's on the cross entropy."""
ATTACK = re.compile(rf"({'|'.join(ATTACKS)})_([0-9.]+)")
"""A column of the first table: an attack and its L-infinity strength in 255ths."""
THEIRS = {"synflow": "synflow", "snip": "snip", "grad_norm": "grad_norm", "naswot": "nwot", "jacov": "jacov"}
"""Names in the second table of measures that have another one here; jacov and params are asked for whatever is
measured."""
HOME = "cifar10"
"""The data set whose columns the second table must have."""


def load_robustness(path: Path) -> pd.DataFrame:
    """Accuracies in percent under attack of the networks trained on CIFAR-10, with a row for each of the 15,625
    architecture strings and a column for each attack and strength.

    Raises:
        GenasError: nothing is there, no column is an attack, it has other rows than the architectures, or what should
            be an accuracy in percent is none.
    """
    if not path.is_file():
        raise GenasError(f"{path}: the table of accuracies under attack is missing")
    table = parquet(path, ())
    names = [name for name in table.columns if ATTACK.fullmatch(name)]
    if not names:
        raise GenasError(f"{path}: no column is an attack such as fgsm_1, attacks are {', '.join(ATTACKS)}")
    check_architectures(path, table["arch_str"])
    for name in names:
        check_accuracies(path, table, name)
    check_percent(path, "accuracy", table[names])
    return table.set_index("arch_str")[names]


def load_zero_cost(path: Path) -> pd.DataFrame:
    """Values of NAS-Bench-Suite-Zero (Krishnakumar et al., 2022) with a row for each architecture string that it has,
    and columns ``<measure>_<data set>``.

    Raises:
        GenasError: nothing is there, a column is missing, an architecture is unknown or there twice, or a value is no
            number.
    """
    if not path.is_file():
        raise GenasError(f"{path}: the table of zero-cost measures is missing")
    wanted = [f"{name}_{HOME}" for name in (*THEIRS.values(), "params")]
    table = parquet(path, wanted)
    check_known(path, table["arch_str"])
    check_once(path, table["arch_str"])
    for name in table.columns.drop("arch_str"):
        wrong = np.flatnonzero(~np.isfinite(numbers(path, table, name, "numbers")))
        if len(wrong):
            raise GenasError(f"{path}: {name} of {table['arch_str'].iloc[wrong[0]]} is no number")
    if table.empty:
        raise GenasError(f"{path}: no architecture is in it")
    return table.set_index("arch_str")
