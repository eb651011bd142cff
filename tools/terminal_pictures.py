"""Draw what ``genas results`` and the end of ``genas demo`` look like on terminals of 80 and of 120 columns, as SVG.

    python tools/terminal_pictures.py [PROFILE] [FOLDER]

draws the profile (the demo, unless said otherwise) into the folder (``docs/terminal``): ``results-80.svg``,
``results-120.svg``, ``demo-80.svg``, ``demo-120.svg``. The pictures show numbers that the profile's rows have left, and
name no font and no address that a browser would fetch.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from genas.pipeline.config import REPOSITORY, load_params, profile_folder
from genas.pipeline.results import terminal
from genas.pipeline.results.board import collect

WIDTHS, HEIGHT = (80, 120), 24
"""Columns and lines of terminals."""
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""Rich's, without the fonts that it would fetch."""


def results(root: Path, profile: str, width: int) -> list[Text]:
    """The lines of ``genas results``."""
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="standard", record=True)
    terminal.show(collect(root), console, load_params(root))
    return [Text.from_ansi(line) for line in console.export_text(styles=True).splitlines()]


def demo(root: Path, profile: str, width: int) -> list[Text]:
    """The last lines of ``genas demo``, as many as a terminal has; paths are relative to the repository here."""
    lines = results(root, profile, width)
    for line in terminal.closing(root, profile):
        shown = line.replace(f"{REPOSITORY}/", "")
        lines += [Text(shown[start : start + width]) for start in range(0, len(shown), width)]
    return lines[-HEIGHT:]


COMMANDS: dict[str, Callable[[Path, str, int], list[Text]]] = {"results": results, "demo": demo}


def draw(root: Path, profile: str, folder: Path) -> list[Path]:
    """Write every picture of a profile into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, lines in COMMANDS.items():
        for width in WIDTHS:
            console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
            for line in lines(root, profile, width):
                console.print(line, no_wrap=True, crop=False)
            paths.append(folder / f"{name}-{width}.svg")
            title = "genas demo" if name == "demo" else f"genas {name} --profile {profile}"
            about = {"title": title, "theme": MONOKAI, "code_format": FORMAT, "unique_id": f"{name}-{width}"}
            console.save_svg(str(paths[-1]), **about)
    return paths


if __name__ == "__main__":
    profile = sys.argv[1] if len(sys.argv) > 1 else "demo"
    for path in draw(profile_folder(profile), profile, Path(sys.argv[2] if len(sys.argv) > 2 else "docs/terminal")):
        print(path)
