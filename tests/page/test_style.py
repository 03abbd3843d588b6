"""The page's style sheets, as text."""

import re

from ..support.forks import ROOT
from ..support.photos import ASSETS

SHEETS = [ASSETS / "page.css", *sorted((ASSETS / "parts").glob("*.css"))]
SELECTORS = re.compile(r"(?:^|[{};])([^{};]+)\{")


def test_every_id_that_the_style_names_is_on_the_page() -> None:
    app = (ROOT / "app.py").read_text("utf-8")
    style = re.sub(r"/\*.*?\*/", "", "".join(sheet.read_text("utf-8") for sheet in SHEETS), flags=re.DOTALL)
    named = {name for selector in SELECTORS.findall(style) for name in re.findall(r"#([\w-]+)", selector)}
    assert len(named) > 30
    assert {name for name in named if f'"{name}"' not in app} == set()
