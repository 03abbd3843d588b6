"""The page as a process of its own, and what a person does with it."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import gradio_client
import httpx
from playwright.sync_api import Page, expect

from s2v_core.jobs.model import UNDER_WAY
from s2v_core.server.limits import ServerLimits

from .forks import PROCESSES, run
from .ports import free_ports
from .service import PROMPT, Service
from .waiting import wait_until

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]  # fmt: skip
# Of a program; its own 5 seconds are short where twenty ask at once on a busy machine.
PATIENT = {"timeout": 60}
SERVE = "app.run({})"
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Every heading, line and state that the card has shown, in their order.
RECORD = """() => {
  const card = document.querySelector('#status .card');
  window.seen = [];
  const note = () => {
    const now = [card.dataset.state, card.querySelector('h2').textContent, card.querySelector('.line').textContent];
    if (String(now) !== String(window.seen.at(-1))) window.seen.push(now);
  };
  new MutationObserver(note).observe(card, {subtree: true, childList: true, characterData: true, attributes: true});
}"""


def chromium() -> str | None:
    """The browser of this machine, or else Playwright's own."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def served(
    folder: Path,
    *,
    kill: bool = False,
    port: int | None = None,
    program: Sequence[str] = ("app.py",),
    limits: ServerLimits | None = None,
    **environment: str,
) -> Iterator[str]:
    """`python app.py` as a process of its own, or the same page within other limits; its address."""
    if limits:
        program = ("-c", f"import app; from {ServerLimits.__module__} import ServerLimits; {SERVE.format(limits)}")
    port = port or free_ports(1)[0]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("S2V_", "GRADIO_"))}
    kept |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "gradio"), "S2V_DATA_DIR": str(folder)}
    kept |= {"S2V_SIMULATOR_SECONDS": "4", "S2V_POLL_SECONDS": "0.1"} | environment
    process = PROCESSES.Process(target=run, args=(tuple(program), kept, folder / "log"))
    process.start()
    (folder / "pid").write_text(str(process.pid))
    url = f"http://127.0.0.1:{port}/"
    try:

        def answers() -> bool:
            assert process.is_alive(), (folder / "log").read_text()
            with suppress(httpx.TransportError):
                httpx.get(url, trust_env=False)
                return True
            return False

        wait_until(answers, "the page answers", seconds=120)
        yield url
    finally:
        process.kill() if kill else process.terminate()
        process.join(30)
        process.close()


def renew(service: Service, folder: Path, clip: bytes) -> None:
    """All answers as at first, and no job of an earlier test that counts towards the limits."""
    fresh = Service(clip)
    for call in ("submit", "query", "file", "backup", "requests"):
        setattr(service, call, getattr(fresh, call))
    if (folder / "ledger.db").exists():
        with closing(sqlite3.connect(folder / "ledger.db")) as database, database:
            database.execute("UPDATE jobs SET state = 'done', sending_at = '2000-01-01 00:00:00.000000'")


def say(page: Page, prompt: str) -> None:
    # A page behind another is drawn by nobody, and may answer no click.
    page.bring_to_front()
    page.locator("#prompt textarea").fill(prompt)


def upload(page: Page, file: Path) -> None:
    page.locator("#subject input[type=file]").set_input_files(file)
    expect(page.locator("#subject img")).to_be_visible()


def click(page: Page) -> None:
    page.bring_to_front()
    page.locator("#generate").click()


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("#status .card")).to_have_attribute("data-state", state)


def expect_playing(page: Page, width: int) -> None:
    page.wait_for_function("document.querySelector('#clip video')?.readyState >= 2")
    assert page.evaluate("document.querySelector('#clip video').videoWidth") == width


def start(page: Page, prompt: str = PROMPT) -> None:
    """With a sample: a visitor's uploads are limited, and all tests are one visitor."""
    page.bring_to_front()
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("Ready")
    say(page, prompt)
    if page.locator("#consent input").is_visible():
        page.locator("#consent input").check()
    click(page)


def ended(client: gradio_client.Client, ticket: str) -> dict[str, Any]:
    """What `/status` says of the job when it has ended."""

    def end() -> dict[str, Any] | None:
        now = client.predict(ticket, api_name="/status")
        return None if now["state"] in UNDER_WAY else dict(now)

    return wait_until(end, "the job has ended")


def heard(http: httpx.Client, session: str) -> httpx.Response:
    """What a page is told on its stream, up to the last word, at which it hangs up."""
    lines = []
    with http.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            lines.append(line)
            if "close_stream" in line:
                break
    return httpx.Response(stream.status_code, text="\n".join(lines))


def kept_uploads(folder: Path) -> set[Path]:
    """What lies in a page's folder for uploads."""
    # Not `rglob`, which fails where a folder goes while it looks.
    return {Path(place, name) for place, _, names in os.walk(folder / "gradio") for name in names}
