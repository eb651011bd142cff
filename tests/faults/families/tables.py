"""What cases of several families share: the tables of the unit tests, and changes that go well together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from _pytest.mark.structures import ParameterSet

from tests.faults.judging import Place, Spoil


def table_of(test: Callable[..., Any]) -> list[Any]:
    """The rows of a parametrised unit test, the inputs and messages that it holds together."""
    (mark,) = [mark for mark in test.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    names, rows = mark.args
    several = not isinstance(names, str) or "," in names
    return [row if not isinstance(row, ParameterSet) else row.values if several else row.values[0] for row in rows]


def change(section: str, **values: Any) -> Spoil:
    """Some values of a section of ``params.yaml`` (``a__b`` is the key b inside a)."""
    return lambda place: place.tiny.change(section, **values)


def write(name: str, content: str | bytes) -> Spoil:
    """Another content of a file in the profile's folder."""

    def spoil(place: Place) -> None:
        path = place.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def each(*spoils: Spoil) -> Spoil:
    """Several changes, one after the other."""
    return lambda place: [spoil(place) for spoil in spoils]


def gone(name: str) -> Spoil:
    """A file of the profile taken away."""
    return lambda place: (place.root / name).unlink()


def folder(name: str) -> Spoil:
    """A folder in the place of a file of the profile."""

    def spoil(place: Place) -> None:
        (place.root / name).unlink()
        (place.root / name).mkdir()

    return spoil


def cut(name: str, size: int) -> Spoil:
    """The first ``size`` bytes of a file in the profile's folder, or all but the last."""

    def spoil(place: Place) -> None:
        path = place.root / name
        path.write_bytes(path.read_bytes()[:size])

    return spoil


def short(text: object) -> str:
    """A name of a case, from whatever makes it what it is."""
    line = " ".join(str(text).split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def below(place: Place, pattern: str) -> Path:
    """The first file of the profile that matches."""
    return sorted(place.root.glob(pattern))[0]
