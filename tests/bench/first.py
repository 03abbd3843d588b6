"""How soon the button can be clicked, beside bare pages of Gradio's, in turns: `python -m tests.bench.first`.

One of them has the same components as ours, with nothing else: no styles, no scripts, no events.
"""

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from ..support.pages import FLAGS, WIDE, chromium, served

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
    programs = {"this page": ("app.py",), "the same components": ("-c", SAME), "an empty page": ("-c", EMPTY)}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright, ExitStack() as pages:
        urls = []
        for number, program in enumerate(programs.values()):
            (place := Path(folder) / str(number)).mkdir()
            urls.append(pages.enter_context(served(place, program=program)))
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        rounds = [[visible(browser, url) for url in urls] for _ in range(times + 1)][1:]
        browser.close()
    for number, name in enumerate(programs):
        seconds = [each[number] for each in rounds]
        ratio = statistics.median(each[0] / each[number] for each in rounds)
        print(f"{name}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}", end="; ")
        print(f"this page takes {ratio:.2f} times as long")


if __name__ == "__main__":
    main()
