"""A page of Markdown as one HTML file: its pictures inside, its tables sortable, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import markdown
from markdown.treeprocessors import Treeprocessor

from genas.pipeline.report.page import slug

STYLE = """
:root { color-scheme: light dark; --line: #8884; --pale: #8881; --accent: #1f6fb4; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1160px; margin: 1.2rem auto 4rem; padding: 0 1.2rem; }
h1, h2, h3, h4 { line-height: 1.25; } h1 { margin: 0 0 .6rem; } h2 { margin-top: 2.2rem; padding-bottom: .2rem;
border-bottom: 1px solid var(--line); } p, ul { margin: .5rem 0; } a { color: var(--accent); }
nav { columns: 16rem; padding: .4rem 1rem; background: var(--pale); border-radius: 6px; font-size: 14px; }
nav ul { margin: 0; padding-left: 1.1rem; } nav > ul > li { break-inside: avoid; }
table { border-collapse: collapse; font-size: 13.5px; margin: .2rem 0; display: block; overflow-x: auto;
font-variant-numeric: tabular-nums; }
figcaption { font-size: 14px; padding: .3rem 0; } .pair { display: flex; flex-wrap: wrap; gap: 0 2rem; }
.pair > figure { flex: 1 1 20rem; min-width: 0; } .pair > figure:last-child { flex: 1 1 39rem; }
th, td { padding: .22rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
th { background: var(--pale); } th.sortable { cursor: pointer; } th[aria-sort=ascending]::after { content: " ▲"; }
th[aria-sort=descending]::after { content: " ▼"; } tr:hover td { background: var(--pale); }
td.prose { white-space: normal; min-width: 18rem; }
figure { margin: .8rem 0; } figure img { background: #fff; } img { max-width: 100%; }
code { background: var(--pale); padding: .1rem .3rem; border-radius: 3px; overflow-wrap: anywhere; }
pre { background: var(--pale); padding: .6rem .9rem; overflow-x: auto; font-size: 13px; } pre code { background: none; }
details { margin: .5rem 0; } details[open] { border-left: 3px solid var(--line); padding-left: .8rem; }
summary { cursor: pointer; color: var(--accent); }
"""
SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, place) => {
    head.className = "sortable";
    head.title = "sort";
    head.onclick = () => {
      const down = head.ariaSort === "descending" ? 1 : -1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = down < 0 ? "descending" : "ascending";
      const value = (row) => row.cells[place].textContent.trim();
      const order = (one, two) => {
        const [a, b] = [value(one), value(two)], [x, y] = [parseFloat(a), parseFloat(b)];
        if (isNaN(x) || isNaN(y)) return isNaN(x) && isNaN(y) ? down * a.localeCompare(b) : isNaN(x) - isNaN(y);
        return down * (x - y);
      };
      body.append(...[...body.rows].sort(order));
    };
  });
}
"""
LONG = 60
"""Characters of a cell that may take several lines."""


class Layout(Treeprocessor):
    """Captions into their tables and figures, folds and contents into elements of their own."""

    def run(self, root: Element) -> None:
        """Rearrange the children of a page."""
        open_elements, caption = [root], ""
        children = list(root)
        for child in children:
            root.remove(child)
        for child in children:
            text = (child.text or "").strip() if child.tag == "p" else ""
            parent = open_elements[-1]
            fold = re.fullmatch(r"<details><summary>(.*)</summary>", text)
            if fold:
                open_elements.append(SubElement(parent, "details"))
                SubElement(open_elements[-1], "summary").text = fold[1]
            elif text == "</details>":
                open_elements = open_elements[:-1] or [root]
            elif text.startswith("**Table "):
                caption = text
            elif text.startswith("**Figure ") and len(parent) and parent[-1].tag == "figure":
                SubElement(parent[-1], "figcaption").text = text
            elif re.fullmatch(r"!\[[^\]]*\]\([^)]*\)", text):
                child.tag = "div"
                SubElement(parent, "figure").append(child)
            elif child.tag == "ul" and len(parent) and parent[-1].tag == "h2" and parent[-1].text == "Contents":
                SubElement(parent, "nav").append(child)
            elif child.tag == "table":
                self._table(parent, child, caption)
                caption = ""
            else:
                parent.append(child)

    @staticmethod
    def _table(parent: Element, table: Element, caption: str) -> None:
        """A table in a figure with its caption above it; the first one beside the picture that it follows."""
        before = parent[-1] if len(parent) else None
        figure = SubElement(parent, "figure")
        if caption:
            SubElement(figure, "figcaption").text = caption
        figure.append(table)
        if caption.startswith("**Table 1.**") and before is not None and before.tag == "figure":
            parent.remove(before)
            parent.remove(figure)
            pair = SubElement(parent, "div", {"class": "pair"})
            pair.extend([before, figure])
        for cell in table.iter("td"):
            if len(cell.text or "") > LONG and "](" not in (cell.text or ""):
                cell.set("class", "prose")


def html(text: str, title: str, folder: Path) -> str:
    """A page rendered, with its pictures inside that lie in ``folder``. Names in it may be anybody's: what looks like
    HTML is text, and no link leads to anything but a file or the web. The one script that a browser will run sorts
    tables."""
    renderer = markdown.Markdown(
        extensions=["tables", "toc"], extension_configs={"toc": {"slugify": slug, "permalink": False}}
    )
    renderer.preprocessors.deregister("html_block")
    renderer.inlinePatterns.deregister("html")
    renderer.treeprocessors.register(Layout(renderer), "layout", 25)  # before what is inside lines is read
    body = renderer.convert(text)

    def embed(found: re.Match[str]) -> str:
        path = (folder / found[1]).resolve()
        inside = path.is_relative_to(folder.resolve()) and path.is_file()
        return f'src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"' if inside else 'src=""'

    body = re.sub(r'src="([^"]*)"', embed, body)
    body = re.sub(r'href="(?!#|\.\./|https?://)[^"]*"', "", body)
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = [
        "<!doctype html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
    ]
    return "\n".join(head) + f"\n{body}\n<script>{SCRIPT}</script>\n</html>\n"
