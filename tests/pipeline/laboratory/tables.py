"""What every reader of a table must do with a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from genas.models.errors import GenasError


def require_refused(table: pd.DataFrame, load: Callable[[Path], pd.DataFrame], path: Path, message: str) -> None:
    """Write the table and require that it is refused in one line that begins with its path and has the message."""
    table.to_parquet(path)
    with pytest.raises(GenasError) as caught:
        load(path)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert message in line
    assert "\n" not in line
