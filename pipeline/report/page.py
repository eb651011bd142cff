"""How a page is written in Markdown: tables, captions with numbers, folds, anchors and contents."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?%?( ?[±\[(].*)?")
"""A cell that is one, maybe with an interval or a spread behind it."""
NOTHING = ("", "-")
"""Cells without a value."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A Markdown table, with a caption above it if it has one; columns of numbers are flush right."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    marks = ["---:" if _numbers([line[place] for line in lines]) else "---" for place in range(len(headings))]
    text = "\n".join("| " + " | ".join(line) + " |" for line in [headings, marks, *lines])
    return f"**Table.** {caption}\n\n{text}" if caption else text


def _numbers(cells: Sequence[str]) -> bool:
    plain = [re.sub(r"\*\*|\[(.*?)\]\(.*?\)", r"\1", cell) for cell in cells]
    return any(cell not in NOTHING for cell in plain) and all(
        cell in NOTHING or NUMBER.fullmatch(cell) for cell in plain
    )


def picture(path: str, caption: str) -> str:
    """A picture with its caption below it."""
    return f"![]({path})\n\n**Figure.** {caption}"


def folded(title: str, *parts: str) -> str:
    """Parts that are seen when they are asked for."""
    return "\n\n".join([f"<details><summary>{' '.join(title.split())}</summary>", *parts, "</details>"])


def emphasised(
    shown: Sequence[str], values: Sequence[float | None], best: Callable[[Iterable[float]], float] = max
) -> list[str]:
    """The values of a column as they are shown, the best in bold, where there are two to choose from."""
    known = {text: value for text, value in zip(shown, values, strict=True) if value is not None}
    if len([value for value in values if value is not None]) < 2:
        return list(shown)
    winner = best(known.values())
    return [f"**{text}**" if known.get(text) == winner else text for text in shown]


def slug(heading: str, separator: str = "-") -> str:
    """The anchor of a heading, as GitHub and the page in HTML both make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)


def link(heading: str, text: str = "") -> str:
    """A link to a heading of the same page."""
    return f"[{text or heading}](#{slug(heading)})"


def numbered(text: str) -> str:
    """A page whose captions have numbers, tables and figures each in their order."""
    seen = {"Table": 0, "Figure": 0}

    def number(found: re.Match[str]) -> str:
        seen[found[1]] += 1
        return f"**{found[1]} {seen[found[1]]}.**"

    return re.sub(r"(?m)^\*\*(Table|Figure)\.\*\*", number, text)


def contents(text: str) -> str:
    """Links to the sections of a page, those below them behind them."""
    lines = []
    for level, heading in re.findall(r"(?m)^(##|###) (.+)$", text):
        lines.append(f"{'    ' * (len(level) - 2)}- {link(heading)}")
    return "\n".join(lines)
