"""What becomes of a file that somebody chooses, drops or pastes as the portrait."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response, Route, expect

from s2v_core.clip import marks

from ..support.lines import narrow_line
from ..support.pages import upload
from ..support.photos import PORTRAIT

FIELD, NEWS = "#subject input[type=file]", "#preflight .news"
PDF = "The file is not a picture; the service takes JPEG, PNG and WebP. Choose one of these."
DROP = """([where, name, type]) => {
  const given = new DataTransfer();
  given.items.add(new File(["x"], name, { type }));
  const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: given });
  document.querySelector(where).dispatchEvent(event);
}"""
DROP_CLIP = """([where, bytes]) => {
  const given = new DataTransfer();
  given.items.add(new File([new Uint8Array(bytes)], "clip.mp4", { type: "video/mp4" }));
  const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: given });
  document.querySelector(where).dispatchEvent(event);
}"""
# Each thing that is said while a photo is on its way.
SAID = f"""() => {{
  const news = document.querySelector("{NEWS}");
  window.said = [];
  new MutationObserver(() => window.said.push(news.textContent)).observe(news, {{ childList: true, subtree: true }});
}}"""


@pytest.fixture
def complaints(context: BrowserContext) -> Iterator[list[str]]:
    """Errors in the browser's console, and answers that are refusals."""
    found: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.append(message.text)

    def see(response: Response) -> None:
        if response.status >= 400:
            found.append(f"{response.status} {response.url}")

    context.on("console", hear)
    context.on("response", see)
    yield found
    context.remove_listener("console", hear)
    context.remove_listener("response", see)


def test_a_photo_comes_and_goes_without_an_error_in_the_console(
    simulated: str, open_page: Callable[..., Page], complaints: list[str], tmp_path: Path
) -> None:
    page = open_page(simulated)
    text = tmp_path / "renamed.jpg"
    text.write_text("this is no picture")
    for file, says in ((PORTRAIT, "✓ Ready"), (text, "Not accepted The file is not a picture")):
        upload(page, file)
        expect(page.locator("#preflight")).to_contain_text(says)
        page.get_by_label("Remove").click()
        expect(page.locator("#preflight .verdict")).to_be_empty()
    assert complaints == []


def test_the_file_chooser_offers_three_formats_each_time(simulated: str, open_page: Callable[..., Page]) -> None:
    page = open_page(simulated)
    for _ in range(2):
        expect(page.locator(FIELD)).to_have_attribute("accept", "image/jpeg,image/png,image/webp")
        page.locator(".sample").first.click()
        page.get_by_label("Remove").click()


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("cv.pdf", 9, PDF),
        ("me.gif", 9, "The photo is GIF; the service takes JPEG, PNG and WebP. Save it as one of these."),
        # Few browsers know its type.
        ("me.heic", 9, "The photo is HEIC; the service takes JPEG, PNG and WebP. Save it as one of these."),
        ("me.jpg", 25_000_000, "The photo has 25 MB; the limit is 20 MB. Save it smaller."),
    ],
)
def test_a_wrong_file_is_refused_at_the_portrait_before_it_is_uploaded(
    name: str,
    size: int,
    says: str,
    simulated: str,
    open_page: Callable[..., Page],
    complaints: list[str],
    tmp_path: Path,
) -> None:
    page = open_page(simulated)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    (tmp_path / name).write_bytes(bytes(size))
    page.locator(FIELD).set_input_files(tmp_path / name)
    expect(page.locator(NEWS)).to_have_text(says)
    assert page.locator(".toast-body").count() == 0
    assert [url for url in asked if "upload" in url] == []
    assert complaints == []
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("✓ Ready")
    expect(page.locator(NEWS)).to_be_empty()


def test_an_odd_name_of_a_type_keeps_no_jpeg_out(simulated: str, open_page: Callable[..., Page]) -> None:
    page = open_page(simulated)
    jpeg = {"name": "me.jpg", "mimeType": "image/jpg", "buffer": PORTRAIT.read_bytes()}
    page.locator(FIELD).set_input_files(jpeg)  # type: ignore[arg-type]
    expect(page.locator("#preflight")).to_contain_text("✓ Ready")


def test_a_wrong_file_that_is_dropped_takes_no_portrait_away(simulated: str, open_page: Callable[..., Page]) -> None:
    page = open_page(simulated)
    page.evaluate(DROP, ["#subject .upload-container", "cv.pdf", "application/pdf"])
    expect(page.locator(NEWS)).to_have_text(PDF)
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("✓ Ready")
    page.evaluate(DROP, ["#header", "cv.pdf", "application/pdf"])
    expect(page.locator(NEWS)).to_have_text(PDF)
    expect(page.locator("#preflight")).to_contain_text("✓ Ready")
    expect(page.locator("#subject .image-frame")).to_be_visible()


def test_an_upload_says_how_much_of_it_is_sent(simulated: str, open_page: Callable[..., Page], tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(PORTRAIT.read_bytes().ljust(15_000_000, b"\0"))
    with narrow_line(simulated, 5_000_000) as url:
        page = open_page(url)
        page.evaluate(SAID)
        upload(page, large)
        page.wait_for_function("said.length && said.at(-1) === ''")
        first, *shares, _ = page.evaluate("said")
        page.close()
    assert first == "Uploading"
    numbers = [int(re.fullmatch(r"Uploading · (\d+) %", share)[1]) for share in shares if share]  # type: ignore[index]
    assert numbers == sorted(numbers)
    assert len({number for number in numbers if number < 100}) > 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda route: route.abort(), "The portrait did not arrive. Check your connection, then choose it again."),
        (
            lambda route: route.fulfill(status=413, content_type="text/html", body="<h1>nginx</h1>"),
            "The portrait did not arrive. Check your connection, then choose it again.",
        ),
        (
            lambda route: route.fulfill(status=429, content_type="text/plain", body="Wait a moment, then try again."),
            "Wait a moment, then try again.",
        ),
    ],
    ids=["no connection", "a proxy's page", "the studio's sentence"],
)
def test_an_upload_that_fails_says_so_at_the_portrait_and_can_be_tried_again(
    answer: Callable[[Route], None], says: str, simulated: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(simulated)
    page.route("**/gradio_api/upload*", answer)
    page.locator(FIELD).set_input_files(PORTRAIT)
    expect(page.locator(NEWS)).to_have_text(says)
    # Gradio has been told by then.
    expect(page.locator(FIELD)).to_be_attached()
    assert page.locator(".toast-body").count() == 0
    page.unroute("**/gradio_api/upload*")
    upload(page, PORTRAIT)
    expect(page.locator("#preflight")).to_contain_text("✓ Ready")
    expect(page.locator(NEWS)).to_be_empty()


def dropped(page: Page, clip: bytes, where: str = "body") -> None:
    page.evaluate(DROP_CLIP, [where, list(clip)])


def ours(scene: str = "") -> bytes:
    made = marks.made_here(
        version="1.0.0", system="MiniMax S2V-01 through 302.AI", made=0.0, scene=scene, optimizer=False
    )
    return marks.box(made)


def test_a_clip_that_is_dropped_fills_in_its_scene_and_its_switch(
    simulated: str, open_page: Callable[..., Page], clip: bytes, complaints: list[str]
) -> None:
    page = open_page(simulated)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {len(request.post_data_buffer or b'')}"))
    dropped(page, clip + ours("She nods.\n“<b>née</b>”"), "#subject .upload-container")
    by = "made by MiniMax S2V-01 through 302.AI with S2V Studio 1.0.0. Its date: 1970-01-01."
    expect(page.locator(NEWS)).to_have_text(f"This clip says: {by} Its scene is filled in.")
    expect(page.locator("#prompt textarea")).to_have_value("She nods. “<b>née</b>”")
    expect(page.locator("#optimizer input")).not_to_be_checked()
    # No more of the clip than its description leaves the browser.
    assert all("/upload" not in request and int(request.split()[-1]) < 5000 for request in sent)
    assert complaints == []


def test_a_clip_that_is_dropped_takes_nothing_away_that_was_typed(
    simulated: str, open_page: Callable[..., Page], clip: bytes
) -> None:
    page = open_page(simulated)
    page.locator(".sample").first.click()
    expect(page.locator("#preflight .verdict")).to_contain_text("Ready")
    page.locator("#prompt textarea").fill("Mine.")
    dropped(page, clip + ours("She nods."))
    expect(page.locator(NEWS)).to_contain_text("Your scene was left as it is; the clip's is: “She nods.”")
    expect(page.locator("#prompt textarea")).to_have_value("Mine.")
    expect(page.locator("#preflight .verdict")).to_contain_text("Ready")
    expect(page.locator("#subject img")).to_be_visible()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (b"", "This clip says nothing of itself."),
        (ours(), "It does not keep its scene."),
        (b"\0\0\0\x2auuid" + marks.XMP + b"<!DOCTYPE a><script>", "was not read: it declares entities."),
        ((24 + 70_000).to_bytes(4) + b"uuid" + marks.XMP + b" " * 70_000, "was not read: it is over 40 kB."),
        (b"\0\0\0\x1cuuid" + marks.XMP + b"\xff\xfe\0<", "was not read: it is not UTF-8."),
    ],
)
def test_what_a_clip_says_is_told_and_does_nothing(
    more: bytes, says: str, simulated: str, open_page: Callable[..., Page], clip: bytes, complaints: list[str]
) -> None:
    page = open_page(simulated)
    dropped(page, clip + more)
    expect(page.locator(NEWS)).to_contain_text(says)
    expect(page.locator("#prompt textarea")).to_have_value("")
    assert complaints == []
