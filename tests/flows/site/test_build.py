"""The site itself: built without a warning where mkdocs is, one line where it is not; never over other files."""

from __future__ import annotations

import re
import sys
from html import unescape
from pathlib import Path

import pytest

from genas.flows.site import build
from genas.models.errors import GenasError
from tests.flows.calling import genas

LACKING = build.lacking()


@pytest.mark.slow
@pytest.mark.skipif(bool(LACKING), reason="needs the extra site: pip install -c constraints.txt -e '.[site]'")
def test_the_site_is_built_and_every_link_on_it_leads_somewhere(tmp_path: Path) -> None:
    out = tmp_path / "site"
    assert build.site(out) == out / "index.html"
    pages = {path: path.read_text() for path in out.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 60
    for path, text in pages.items():
        for target in re.findall(r'(?:href|src)="([^"#]+)', text):
            link = unescape(target)
            if not re.match(r"https?:|mailto:|data:", link):
                assert (path.parent / link).exists(), f"{path.relative_to(out)}: {link}"
        fetched = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://[^"]*', text)
        assert fetched == [], path
    interface = (out / "api/genas.pipeline.measures.html").read_text()
    assert 'id="genas.pipeline.measures.flatness.flatness"' in interface
    assert build.site(out) == out / "index.html", "in place of the earlier one"


def test_without_the_extra_one_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mkdocs", None)
    with pytest.raises(GenasError, match=r"^genas site needs the extra site: pip install .*\[site\]'$"):
        build.site(tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.skipif(not LACKING, reason="the extra is installed")
def test_the_command_says_it_too(tmp_path: Path) -> None:
    said = genas("site", str(tmp_path / "site"))
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert said.stderr.startswith("error: genas site needs the extra site: pip install -c constraints.txt")


def test_what_is_no_site_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "NEEDED", ())
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(GenasError, match="holds something that is no site"):
        build.site(tmp_path)
    with pytest.raises(GenasError, match=r"mine\.txt is a file, expected a folder"):
        build.site(tmp_path / "mine.txt")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
