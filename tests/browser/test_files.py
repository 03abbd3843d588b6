"""What becomes of a file that somebody chooses, drops or pastes as the portrait."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response, expect

FIELD, NEWS = "#subject input[type=file]", "#preflight .news"
PDF = "The file is not a picture; the service takes JPEG, PNG and WebP. Choose one of these."
DROP = """([where, name, type]) => {
  const given = new DataTransfer();
  given.items.add(new File(["x"], name, { type }));
  const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: given });
  document.querySelector(where).dispatchEvent(event);
}"""


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
