import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from s2v_core import Photo, prepare

from .support import postgresql
from .support.clips import small_clip
from .support.pages import FLAGS, RECORD, WIDE, chromium, renew, served
from .support.photos import PORTRAIT
from .support.service import KEY, Service, in_thread

# `nohup`, and a shell in the background, have these ignored: then what a test starts would not hear them.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long it takes is measured in tests/bench: here a page has all the time that a busy machine needs.
expect.set_options(timeout=60_000)

SHOWN = """(html) => {
  const [{ type, duration }] = performance.getEntriesByType("navigation");
  return `${type} in ${duration} ms; ${html.innerText.slice(0, 3000)}`;
}"""


def pytest_configure(config: pytest.Config) -> None:
    """Each worker of a run asks for the same PostgreSQL."""
    if not hasattr(config, "workerinput"):
        if not postgresql.IS_HERE and os.environ.get("CI") == "true":
            raise pytest.UsageError("PostgreSQL is not installed, and CI tests on it.")
        stack = ExitStack()
        stack.enter_context(postgresql.cluster())
        config.add_cleanup(stack.close)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not postgresql.IS_HERE:
        terminalreporter.write_line("PostgreSQL is not installed: what is tested on it was left out.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, for which the other workers would wait at the end: what waits most, then the page's walks."""
    items.sort(
        key=lambda item: (
            item.path.name not in {"test_chaos.py", "test_terminal.py"},
            "context" not in getattr(item, "fixturenames", ()),
        )
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With a test that failed, what each of its pages shows."""
    report = yield
    if report.failed and isinstance(browser := getattr(item, "funcargs", {}).get("browser"), Browser):
        for page in (page for context in browser.contexts for page in context.pages):
            try:
                shown = page.locator("html").evaluate(SHOWN, timeout=3000)
            except Error as error:
                shown = f"It does not answer: {error}"
            report.sections.append((f"page {page.url}", shown))
    return report


@pytest.fixture(scope="session")
def clip() -> bytes:
    return small_clip()


@pytest.fixture(scope="session")
def photo() -> Photo:
    return prepare(PORTRAIT)


@pytest.fixture
async def service(clip: bytes) -> AsyncIterator[Service]:
    async with Service(clip) as service:
        yield service


# Not for the whole session: while it is open no asynchronous test can run beside it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        except Error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip("there is no browser; `make browser` gets one")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def simulated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def simulated(simulated_folder: Path) -> Iterator[str]:
    with served(simulated_folder) as url:
        yield url


@pytest.fixture(scope="module")
def service_thread(clip: bytes) -> Iterator[Service]:
    with in_thread(Service(clip)) as service:
        yield service


@pytest.fixture(scope="module")
def live_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def live(service_thread: Service, live_folder: Path) -> Iterator[str]:
    with served(live_folder, S2V_API_KEY=KEY, S2V_BASE_URL=service_thread.base_url) as url:
        yield url
    assert "Traceback" not in (log := (live_folder / "log").read_text()), log
    assert KEY not in (live_folder / "log").read_text()


@pytest.fixture
def answers(service_thread: Service, live_folder: Path, clip: bytes) -> Service:
    renew(service_thread, live_folder, clip)
    return service_thread


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    # One for all, as a person's browser is: it has Gradio's files already.
    # Without motion: painting it costs a core that the tests need.
    with browser.new_context(reduced_motion="reduce") as context:
        yield context


@pytest.fixture
def open_page(context: BrowserContext) -> Iterator[Callable[..., Page]]:
    """A page that is ready for its first click; what it asked for and what it complained of is looked at in the end."""
    pages, complaints, hosts = [], [], set()
    # Without what a test before it chose.
    context.clear_cookies()

    def open_page(url: str, viewport: dict[str, int] = WIDE, theme: str = "light") -> Page:
        page = context.new_page()
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=theme)
        # A new person: without the tickets of the test before; a reload keeps its own.
        page.add_init_script("if (!sessionStorage.known) { localStorage.clear(); sessionStorage.known = 1 }")
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(url)
        expect(page.locator("#status h2")).to_have_text("Ready when you are")
        # Gradio's own, from before there was a page.
        expect(page.locator(".loading")).to_have_count(0)
        page.evaluate(RECORD)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []
    # None is a blob or a data URL.
    assert hosts <= {"127.0.0.1", None}
