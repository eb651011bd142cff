"""The truth of NAS-Bench-201: how accurate each architecture is once it is trained on its own.

Two sources, one table: a parquet file, or the official folder of NATS-Bench (Dong et al., 2021), which its own package
reads. That package unpickles the folder's files, so it must be one that its user trusts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from tqdm import tqdm

from genas.models.errors import GenasError
from genas.models.spaces.nasbench201.cell import Cell201, all_cells
from genas.pipeline.laboratory.ranking import Array

SIZE = 15625
COLUMNS = {
    "cifar10_test_200": ("cifar10", "200", "test-accuracy"),
    "cifar100_test_200": ("cifar100", "200", "test-accuracy"),
    "imagenet16_120_test_200": ("ImageNet16-120", "200", "test-accuracy"),
    "cifar10_valid_12": ("cifar10-valid", "12", "valid-accuracy"),
    "cifar10_test_12": ("cifar10", "12", "test-accuracy"),
    "cifar100_valid_12": ("cifar100", "12", "valid-accuracy"),
    "cifar100_test_12": ("cifar100", "12", "test-accuracy"),
    "imagenet16_120_valid_12": ("ImageNet16-120", "12", "valid-accuracy"),
    "imagenet16_120_test_12": ("ImageNet16-120", "12", "test-accuracy"),
}
"""Accuracies in percent by ``<data set>_<split>_<epochs>``; where NATS-Bench has them, averaged over its trials."""


def load_benchmark(path: Path) -> pd.DataFrame:
    """The benchmark with a row for each architecture string and the columns of :data:`COLUMNS`.

    Raises:
        GenasError: nothing is there, a column is missing, it has other rows than the 15,625 architectures, or what
            should be an accuracy in percent is none.
    """
    if not path.exists():
        raise GenasError(f"{path}: the benchmark's table is missing")
    table = _official(path) if path.is_dir() else parquet(path, COLUMNS)[["arch_str", *COLUMNS]]
    check_architectures(path, table["arch_str"])
    for name in COLUMNS:
        check_accuracies(path, table, name)
        check_percent(path, name, table[name])
    return table.set_index("arch_str")


def check_architectures(path: Path, architectures: pd.Series[Any]) -> None:
    """Refuse a table that has not every architecture of the space once.

    Raises:
        GenasError: naming the architecture.
    """
    check_known(path, architectures)
    present = set(architectures)
    if len(present) != SIZE:
        missing = next(text for cell in all_cells() if (text := str(cell)) not in present)
        raise GenasError(f"{path}: {len(present)} architectures, expected {SIZE}; none is {missing}")
    check_once(path, architectures)


def check_once(path: Path, architectures: pd.Series[Any]) -> None:
    """Refuse a table that has an architecture twice.

    Raises:
        GenasError: naming the architecture.
    """
    if architectures.duplicated().any():
        doubled = architectures[architectures.duplicated()].iloc[0]
        expected = architectures.nunique()
        raise GenasError(f"{path}: {len(architectures)} rows, expected {expected}; two are of {doubled}")


def check_known(path: Path, architectures: pd.Series[Any]) -> None:
    """Refuse what is no architecture of the space.

    Raises:
        GenasError: naming the row.
    """
    for row, text in enumerate(architectures):
        if not isinstance(text, str):
            raise GenasError(f"{path} row {row}: arch_str is {repr(text)[:40]}, expected an architecture")
        try:
            Cell201.parse(text)
        except GenasError as error:
            raise GenasError(f"{path} row {row}: {error}") from None


def check_accuracies(path: Path, table: pd.DataFrame, name: str) -> None:
    """Refuse a column of anything but numbers from 0 to 100.

    Raises:
        GenasError: naming the column and, where it is one of them, the architecture.
    """
    values = numbers(path, table, name, "accuracies in percent")
    wrong = np.flatnonzero(~((values >= 0) & (values <= 100)))
    if len(wrong):
        architecture = table["arch_str"].iloc[wrong[0]]
        raise GenasError(f"{path}: {name} of {architecture} is {values[wrong[0]]}, expected 0 to 100 (percent)")


def check_percent(path: Path, name: str, values: pd.DataFrame | pd.Series[Any]) -> None:
    """Refuse shares of one.

    Raises:
        GenasError: no value is above 1.
    """
    highest = float(values.to_numpy(np.float64).max())
    if highest <= 1:
        raise GenasError(f"{path}: no {name} exceeds {highest:g}, expected percent, not shares of one")


def numbers(path: Path, table: pd.DataFrame, name: str, expected: str) -> Array:
    """A column of numbers, (n,).

    Raises:
        GenasError: it has none; ``expected`` says what it should have.
    """
    column = table[name]
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise GenasError(f"{path}: column {name} is of type {column.dtype}, expected {expected}")
    return np.asarray(column.to_numpy(np.float64, na_value=np.nan))


def parquet(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """A table of architectures, ``arch_str`` and at least these columns.

    Raises:
        GenasError: it is no parquet file, or one of them is missing.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise GenasError(f"{path}: no parquet file ({' '.join(str(error).split())})") from None
    for name in ("arch_str", *columns):
        if name not in table:
            raise GenasError(f"{path}: column {name} is missing")
    return table


def _official(folder: Path) -> pd.DataFrame:
    from nats_bench import create

    try:
        api = create(str(folder), "tss", fast_mode=True, verbose=False)
    except Exception as error:  # whatever unpickling meets
        raise GenasError(f"{folder}: no folder of NATS-Bench ({' '.join(str(error).split())})") from None
    return pd.DataFrame([_official_row(api, index) for index in tqdm(range(len(api)), "NATS-Bench", disable=None)])


def _official_row(api: Any, index: int) -> dict[str, Any]:
    """An architecture's accuracies by way of the official package."""
    row: dict[str, Any] = {"arch_str": api.arch(index)}
    for name, (dataset, epochs, metric) in COLUMNS.items():
        row[name] = api.get_more_info(index, dataset, hp=epochs, is_random=False)[metric]
    return row


def accuracy_of(table: pd.DataFrame, cells: Iterable[str], dataset: str) -> Array:
    """Test accuracies in percent after 200 epochs, (n,), for architecture strings in their order."""
    return table[f"{dataset}_test_200"].loc[list(cells)].to_numpy(np.float64)
