"""How a page is written: tables in Markdown, and one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import markdown

STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #222; max-width: 1200px; margin: 2rem auto; padding: 0 1.2rem; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.4rem; border-bottom: 1px solid #ddd; padding-bottom: .3rem; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #e4e4e4; text-align: left; white-space: nowrap; }
th { background: #f6f6f6; } tr:hover td { background: #fafafa; }
img { max-width: 100%; } code { background: #f4f4f4; padding: .1rem .3rem; border-radius: 3px; }
"""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def html(text: str, title: str, folder: Path) -> str:
    """A page of Markdown rendered, with those of its pictures inside that lie in ``pictures/`` of its folder. Names
    in it may be anybody's: what looks like HTML is text."""
    renderer = markdown.Markdown(extensions=["tables"])
    renderer.preprocessors.deregister("html_block")
    renderer.inlinePatterns.deregister("html")
    body = renderer.convert(text)

    def embed(found: re.Match[str]) -> str:
        return f'src="data:image/png;base64,{base64.b64encode((folder / found[1]).read_bytes()).decode()}"'

    body = re.sub(r'src="(pictures/[^"]+)"', embed, body)
    start = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
    return f"{start}<style>{STYLE}</style>\n{body}\n</html>\n"
