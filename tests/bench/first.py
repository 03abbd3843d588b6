"""How soon the page answers, and its button can be clicked, beside bare pages: `python -m tests.bench.first`.

In turns. One of them has the same components as ours, with nothing else: no styles, no scripts, no events.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

from ..support.forks import ROOT
from ..support.pages import FLAGS, WIDE, chromium, served
from ..support.ports import free_ports
from ..support.waiting import wait_until
from .rows import Row

EMPTY = """
import gradio
with gradio.Blocks(analytics_enabled=False) as demo:
    gradio.Button("Go", elem_id="generate")
demo.launch(footer_links=[], run_history=False)
"""


SAME = """
import gradio as gr
with gr.Blocks(analytics_enabled=False) as demo:
    gr.BrowserState([])
    for value in ("", "", None):
        gr.State(value)
    with gr.Row():
        gr.HTML("brand")
        gr.Radio(["simulator"], value="simulator", label="Next clip with")
        with gr.Accordion("Use your key", open=False):
            gr.Textbox(label="Your key", type="password")
            gr.HTML("")
            gr.Button("Use it")
            gr.Button("Forget it", visible=False)
    with gr.Row():
        with gr.Column():
            gr.Image(type="filepath", sources=["upload", "webcam", "clipboard"], label="Portrait", buttons=[])
            with gr.HTML("preflight"):
                gr.Button("Crop to fit")
            with gr.Row():
                gr.HTML("Try")
                for name in ("one", "two", "three", "four"):
                    gr.Button(name)
            with gr.Accordion("or a public link", open=False):
                gr.Textbox(label="Link to a portrait")
            gr.Textbox(label="Scene", lines=3)
            with gr.Row():
                for name in ("one", "two", "three", "four"):
                    gr.Button(name)
            gr.Checkbox(True, label="Improve my prompt")
            gr.Checkbox(False, label="I have the right", visible=False)
            gr.Button("Go", elem_id="generate")
        with gr.HTML("status"):
            gr.Video(label="Your clip", visible=False)
            gr.HTML("likeness")
            with gr.Row():
                gr.Button("Stop watching")
                gr.Button("Use again")
                gr.DownloadButton("Download", visible=False)
                gr.Button("Delete")
    gr.HTML("history")
    with gr.Accordion("Recover a clip", open=False):
        gr.Textbox(label="Ticket")
        gr.Button("Recover")
    gr.HTML("foot")
demo.launch(footer_links=["api"], run_history=False)
"""

PROGRAMS = {"this": ("app.py",), "the same components": ("-c", SAME), "an empty page": ("-c", EMPTY)}
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


def answers(program: Sequence[str], folder: Path) -> float:
    """Seconds from the start of the program to the first answer of its page."""
    (port,) = free_ports(1)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("S2V_", "GRADIO_"))}
    kept |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "gradio"), "S2V_DATA_DIR": str(folder)}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *program], env=kept, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:

        def answered() -> bool:
            with suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 200
            return False

        wait_until(answered, "the page answers")
        return time.monotonic() - began
    finally:
        process.terminate()
        process.wait(30)


def rows(folder: Path, times: int) -> Iterator[Row]:
    started = dict[str, list[float]]()
    for number in range(times // 2):
        for name, program in PROGRAMS.items():
            (place := folder / f"{name}{number}").mkdir()
            started.setdefault(name, []).append(answers(program, place))
    yield Row("from the start to the first answer", "s", started)
    with sync_playwright() as playwright, ExitStack() as pages:
        urls = {}
        for name, program in PROGRAMS.items():
            (place := folder / name).mkdir()
            urls[name] = pages.enter_context(served(place, program=program))
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        seen = {name: list[float]() for name in PROGRAMS}
        for _ in range(times + 1):
            for name, url in urls.items():
                seen[name].append(visible(browser, url))
        browser.close()
    # The first fills the machine's caches.
    yield Row("from the address to the button", "s", {name: seconds[1:] for name, seconds in seen.items()})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.first", description=__doc__)
    parser.add_argument("--times", type=int, default=12)
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder), parser.parse_args().times):
            print(row)


if __name__ == "__main__":
    main()
