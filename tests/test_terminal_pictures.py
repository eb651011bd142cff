"""The pictures of terminals: no digit is lost on the narrow one, nothing is fetched from anywhere."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from genas.pipeline.config import REPOSITORY
from tests.pipeline.conftest import leave_all, write_params
from tools.terminal_pictures import WIDTHS, draw

SHOWN = REPOSITORY / "docs" / "terminal"


def text_of(path: Path, between: str = "") -> list[str]:
    """The lines of a picture, without its title; ``between`` what stands in different styles."""
    parts = re.findall(r'<text class="[^"]*-r\d+"[^>]* y="([\d.]+)"[^>]*>([^<]*)<', path.read_text())
    lines: dict[str, str] = {}
    for y, text in parts:
        lines[y] = lines.get(y, "") + between + unescape(text).replace("\xa0", " ").rstrip("\n")
    return list(lines.values())


def numbers(path: Path) -> list[str]:
    """Every number of a picture's tables."""
    words = " ".join(line for line in text_of(path, " ")).split()
    return sorted(word for word in words if re.fullmatch(r"-?[\d.]+(?:e-?\d+)?", word))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of a profile of made-up numbers."""
    root = tmp_path_factory.mktemp("profile")
    write_params(root)
    leave_all(root)
    draw(root, "demo", root / "pictures")
    return root / "pictures"


@pytest.mark.parametrize("folder", ["made", "documents"])
def test_no_digit_is_lost_on_the_narrow_terminal(drawn: Path, folder: str) -> None:
    place = drawn if folder == "made" else SHOWN
    narrow, wide = (numbers(place / f"results-{width}.svg") for width in WIDTHS)
    assert len(wide) > 40
    assert set(narrow) == set(wide)
    for width in WIDTHS:
        for name in ("results", "demo"):
            assert max(len(line.rstrip()) for line in text_of(place / f"{name}-{width}.svg")) <= width


def test_the_end_of_the_demo_tells_what_was_found(drawn: Path) -> None:
    best, following = text_of(drawn / "demo-80.svg")[-2:]
    assert best == "best    flatness (search/digits-flatness-0): top-1 81.50, AP 37.05, mIoU 72.58"
    assert following == "next    genas results --profile demo; genas track ui; genas export ROW"
    assert len(text_of(drawn / "demo-80.svg")) <= 24


def test_a_picture_fetches_nothing(drawn: Path) -> None:
    for path in (*drawn.glob("*.svg"), *SHOWN.glob("*.svg")):
        assert not re.search(r"url\(\s*[\"']?http|href=\"http|@import|@font-face", path.read_text()), path
