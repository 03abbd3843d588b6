"""What those find in the page's HTML who run no scripts: the preview of a link, and what a browser loads first."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from ..support.pages import served

PREVIEW = re.compile(r'<meta\s+(?:name|property)="(description|(?:og|twitter):[\w:]+)"\s+content="([^"]*)"')


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Behind a proxy, with a public name."""
    with served(tmp_path_factory.mktemp("document"), S2V_TRUSTED_HOPS="1", S2V_HOSTS="studio.example") as url:
        yield url


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    public = {"X-Forwarded-Host": "studio.example", "X-Forwarded-Proto": "https"}
    with httpx.Client(base_url=url, trust_env=False, timeout=60, headers=public) as http:
        yield http


def test_the_preview_of_a_link_has_our_words_and_a_picture_under_the_public_name(http: httpx.Client) -> None:
    document = http.get("").text
    assert re.findall("<title>(.*)</title>", document) == ["S2V Studio"]
    says = "One portrait and one sentence become a six-second clip of that person."
    assert PREVIEW.findall(document) == [
        ("description", says),
        ("og:type", "website"),
        ("og:url", "https://studio.example/"),
        ("og:title", "S2V Studio"),
        ("og:description", says),
        ("og:image", "https://studio.example/static/thumbnail.jpg"),
        ("twitter:card", "summary_large_image"),
    ]


def test_the_picture_of_a_preview_is_there(http: httpx.Client) -> None:
    answer = http.get("static/thumbnail.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (1280, 640)


def test_a_page_below_a_path_names_its_own_files(http: httpx.Client) -> None:
    links = re.findall(r'<(?:link|script)[^>]* (?:href|src)="([^"]*)"', http.get("").text)
    assert "./manifest.json" in links
    assert [link for link in links if not link.startswith("./")] == []


def test_what_gradio_loads_one_by_one_is_asked_for_at_once(http: httpx.Client) -> None:
    early = re.findall(r'<link rel="(?:modulepreload|preload)"[^>]* href="\./assets/([^"]+)"', http.get("").text)
    assert len(early) > 40
    for name in early:
        assert http.get(f"assets/{name}").is_success


def test_the_html_is_compressed_for_those_who_can_read_that(http: httpx.Client) -> None:
    plain = http.get("", headers={"Accept-Encoding": "identity"})
    small = http.get("", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == small.headers["vary"] == "Accept-Encoding, Accept-Language, Cookie"
    assert small.text == plain.text
    assert int(small.headers["content-length"]) < 0.25 * len(plain.content)


def test_the_style_sheet_is_a_file_of_its_own_that_a_browser_keeps(http: httpx.Client) -> None:
    *gradios, ours = re.findall(r'<link rel="stylesheet"[^>]*href="\./([^"]*)"', http.get("").text)
    assert gradios
    sheet = http.get(ours)
    assert sheet.headers["content-type"].startswith("text/css")
    assert "immutable" in sheet.headers["cache-control"]
    assert "#generate" in sheet.text
    assert "#generate {" not in http.get("config").text


# Gradio waits 5 seconds for a start, and takes a longer one for a port that is taken.
SLOW = """
import asyncio, app
usual = app.Studio.__aenter__
async def slow(studio):
    await asyncio.sleep(7)
    return await usual(studio)
app.Studio.__aenter__ = slow
app.run()
"""


@pytest.mark.long
def test_a_ledger_that_takes_long_to_open_keeps_nobody_from_the_page(tmp_path: Path) -> None:
    with served(tmp_path, program=("-c", SLOW)) as url:
        assert httpx.get(url, trust_env=False, timeout=60).status_code == 200
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_page_is_in_the_language_that_its_address_or_its_reader_asks_for(http: httpx.Client) -> None:
    def language(address: str = "", **headers: str) -> tuple[str, str]:
        document = http.get(address, headers=headers)
        (found,) = re.findall(r'<html\s+lang="([^"]*)"', document.text)
        assert document.headers["content-language"] == found
        return found, re.findall(r'name="description" content="([^"]*)"', document.text)[0]

    assert language()[0] == language("?lang=xx")[0] == "en"
    assert language(**{"Accept-Language": "ja"})[0] == language("?lang=ja")[0] == "ja"
    assert language(**{"Accept-Language": "ja", "Cookie": "s2v-language=zh-CN"})[0] == "zh-CN"
    assert language("?lang=ja", **{"Cookie": "s2v-language=zh-CN"})[0] == "ja"
    assert language(**{"Cookie": "s2v-language=<script>"})[0] == "en"
    assert len({language(f"?lang={each}")[1] for each in ("en", "ja", "zh-CN")}) == 3
