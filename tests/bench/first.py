"""How soon the button can be clicked, beside an empty page of Gradio's, in turns: `python -m tests.bench.first`."""

import argparse
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from ..support.pages import FLAGS, WIDE, chromium, served

EMPTY = """
import gradio
with gradio.Blocks(analytics_enabled=False) as demo:
    gradio.Button("Go", elem_id="generate")
demo.launch(footer_links=[], run_history=False)
"""


# Looked for at every frame: a locator asks at growing intervals, of up to half a second.
WATCH = """
const look = () => {
    if (document.querySelector("#generate")?.checkVisibility()) window.seen = performance.now();
    else requestAnimationFrame(look);
};
look();
"""


def visible(browser: Browser, url: str) -> float:
    """Seconds from the address to the button, with nothing in the browser's cache."""
    with browser.new_context(viewport=WIDE) as context:
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(url, wait_until="commit")
        page.wait_for_function("window.seen")
        return float(page.evaluate("window.seen / 1000"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.first", description=__doc__)
    parser.add_argument("--times", type=int, default=12)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        ours, empty = Path(folder) / "ours", Path(folder) / "empty"
        ours.mkdir()
        empty.mkdir()
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        with served(ours) as page, served(empty, program=("-c", EMPTY)) as blank:
            pairs = [(visible(browser, page), visible(browser, blank)) for _ in range(times + 1)][1:]
        browser.close()
    for name, seconds in zip(("this page", "an empty one"), zip(*pairs, strict=True), strict=True):
        print(f"{name}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}")
    print(f"ratio, median of the pairs: {statistics.median(mine / other for mine, other in pairs):.2f}")


if __name__ == "__main__":
    main()
