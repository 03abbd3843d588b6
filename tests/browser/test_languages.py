"""The page in Chinese and in Japanese: as its address says, as the browser does, or as somebody chooses."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio_client
import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from s2v_core.errors import Charge
from s2v_core.language import gettext, read_in

from ..support.pages import PATIENT, PHONE, WIDE, click, ended, expect_state, say, start
from ..support.service import FILE, Service, gateway, task
from .test_everybody import STATES, violations

pytestmark = pytest.mark.long

# What stays as it is: names, kinds of files, units, and what is shown of a ticket or a key.
NAMES = re.compile(
    r"S2V Studio|S2V-01|S2V_\w+|MiniMax|302\.AI|Gradio|PTC|JPEG|PNG|WebP|XMP|English|\bEN\b|Esc|Ctrl|"
    r"Eileen Collins|Grace Hopper|s2v_[\w…-]+|https://|(?<![A-Za-z])(px|kB|MB|UTC|URL|API|AI|s|P|HTTP|sRGB)(?![A-Za-z])|\d+|"
    # The service's own words, and a command.
    r"\b(Processing|Preparing|Queueing|Success|Fail|a reason|export)\b",
)
# What a person sees, without what a person wrote.
SEEN = """() => {
  const said = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const around = node.parentElement;
    if (around.closest('script, style, code, svg, .caption, [data-testid=textbox]')) continue;
    const seen = around.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (seen && node.data.trim()) said.push(node.data.trim());
  }
  for (const node of document.querySelectorAll('#order *, #status *, #header *, #history *, #recovery *')) {
    for (const name of ['aria-label', 'placeholder', 'title', 'alt']) {
      const text = node.getAttribute(name);
      if (text && node.checkVisibility()) said.push(text);
    }
  }
  return said;
}"""
LANGUAGES = ("zh-CN", "ja")


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


@contextmanager
def opened(browser: Browser, url: str, *, locale: str = "en-US", **options: Any) -> Iterator[Page]:
    with browser.new_context(locale=locale, reduced_motion="reduce", viewport=WIDE, **options) as context:
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        expect(page.locator("#status h2")).not_to_be_empty()
        expect(page.locator(".loading")).to_have_count(0)
        yield page
        assert complaints == []


def in_english(page: Page) -> list[str]:
    """What is left of English words, of what is seen or read aloud."""
    return [text for text in page.evaluate(SEEN) if re.search("[A-Za-z]{2}", NAMES.sub("", text))]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_is_left_in_english_in_any_state(
    language: str, viewport: dict[str, int], live: str, service: Service, browser: Browser
) -> None:
    with opened(browser, f"{live}?lang={language}") as page:
        page.set_viewport_size(viewport)
        assert page.evaluate("document.documentElement.lang") == language
        assert in_english(page) == []
        assert violations(page) == []
        # It says what it lacks.
        lack = page.locator("#generate").evaluate("(button) => getComputedStyle(button, '::after').content")
        with read_in(language):
            assert lack == f'"{gettext("Choose a portrait")}"'
        if viewport is PHONE:
            page.locator(".pill").click()
        page.locator("#own-key .label-wrap").click()
        expect(page.locator("#key input")).to_be_visible()
        assert in_english(page) == []
        for _ in range(2):
            page.keyboard.press("Escape")
        page.locator("#by-link .label-wrap").click()
        page.locator("#recovery .label-wrap").click()
        expect(page.locator("#ticket :is(input, textarea)")).to_be_visible()
        assert in_english(page) == []
        page.locator("#by-link .label-wrap").click()
        for number, (state, answers) in enumerate(STATES):
            for call, given in answers.items():
                setattr(service, call, given)
            if number == 0:
                begin(page)
            elif state != "done":
                say(page, "四" * number)
                click(page)
            expect_state(page, state)
            if state == "done":
                expect(page.locator("#likeness [data-shown=true] .stills button").first).to_be_visible()
            page.wait_for_timeout(300)
            assert in_english(page) == [], state
            assert violations(page) == [], state
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state


def begin(page: Page, prompt: str = "她抬起头。") -> None:
    page.bring_to_front()
    page.locator(".sample").first.click()
    expect(page.locator("#preflight [data-state]")).to_have_attribute("data-state", "ready")
    say(page, prompt)
    if page.locator("#consent input").is_visible():
        page.locator("#consent input").check()
    click(page)


def test_the_browser_s_language_is_the_page_s(simulated: str, browser: Browser) -> None:
    with opened(browser, simulated, locale="zh-TW") as page:
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        expect(page.locator("#generate")).to_contain_text("·")
        assert in_english(page) == []
    with opened(browser, simulated, locale="fr-FR") as page:
        assert page.evaluate("document.documentElement.lang") == "en"
        expect(page.locator("#status h2")).to_have_text("Ready when you are")


def test_another_language_is_chosen_while_a_clip_renders_and_nothing_is_lost(
    live: str, service: Service, browser: Browser
) -> None:
    service.query = [task("Processing")]
    with opened(browser, live) as page:
        begin(page)
        expect_state(page, "rendering")
        ticket = page.locator("#status .card").get_attribute("data-ticket")
        say(page, "And what comes next.")
        page.evaluate("""() => {
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.shifted += entry.value;
          }).observe({ type: "layout-shift" });
        }""")
        for language in ("ja", "zh-CN", "en", "ja"):
            page.evaluate("window.shifted = 0")
            page.locator(f"#language button[value='{language}']").click()
            with read_in(language):
                expect(page.locator("#status .stages span").last).to_have_text(gettext("Save"))
                expect(page.locator("#stop")).to_have_text(gettext("Leave it running"))
                expect(page.locator("#preflight .verdict")).to_contain_text(gettext("✓ Ready"))
                expect(page.locator("#status h2")).to_have_text(
                    re.compile("|".join(map(gettext, ("Rendering", "Waiting in the queue"))))
                )
            assert page.locator("#prompt textarea").input_value() == "And what comes next."
            assert page.locator("#status .card").get_attribute("data-ticket") == ticket
            expect_state(page, "rendering")
            page.wait_for_timeout(600)
            # Also what a browser forgives, as it comes within half a second of the click.
            assert page.evaluate("window.shifted") < 0.1
        # Gradio's own words change with the next load.
        assert in_english(page) == ["Use via API"]
        service.query = [task("Success", file_id=FILE)]
        expect_state(page, "done")
        with read_in("ja"):
            expect(page.locator("#status h2")).to_have_text(gettext("Your clip is ready"))
        assert len(service.calls("submit")) == 1
        # It is kept, and a page in a frame that may keep nothing has it as long as it is open.
        page.reload()
        expect(page.locator("#status h2")).to_have_text(re.compile("[ぁ-ん]"))
        assert page.evaluate("document.documentElement.lang") == "ja"


def test_what_became_of_an_order_is_said_anew_and_nothing_older(
    live: str, service: Service, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(live)
    (tmp_path / "text.jpg").write_text("no picture")
    page.locator("#subject input[type=file]").set_input_files(tmp_path / "text.jpg")
    expect(page.locator("#preflight [data-state]")).to_have_attribute("data-state", "rejected")
    page.locator("#language button[value='ja']").click()
    with read_in("ja"):
        expect(page.locator("#preflight .verdict")).to_contain_text(gettext("Not accepted"))
    # A job that goes on alone is not what went wrong before it.
    page.locator("#language button[value='en']").click()
    page.get_by_label("Remove the portrait").first.click()
    service.query = [task("Processing")]
    start(page, "She goes on alone.")
    expect_state(page, "rendering")
    page.locator("#stop").click()
    expect(page.locator("#status h2")).to_have_text("Running in the background")
    page.locator("#language button[value='ja']").click()
    with read_in("ja"):
        expect(page.locator("#status h2")).to_have_text(gettext("Running in the background"))


def test_an_ending_is_said_anew_in_the_language_that_is_chosen(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    service.submit = [gateway(-10001, 401)]
    start(page, "She asks.")
    expect_state(page, "refused")
    page.locator("#language button[value='zh-CN']").click()
    with read_in("zh-CN"):
        expect(page.locator("#status .ending")).to_contain_text(Charge.NONE.sentence())
    page.locator("#language button[value='en']").click()
    expect(page.locator("#status .ending")).to_contain_text("Nothing was charged.")
    # What is wrong with an order is no job's.
    page.locator("#ticket :is(input, textarea)").or_(page.locator("#recovery .label-wrap")).first.click()
    page.locator("#ticket :is(input, textarea)").fill("s2v_none")
    page.locator("#recover").click()
    expect(page.locator("#ticket-says")).to_contain_text("There is no such ticket here.")


def test_programs_hear_their_own_language_and_the_same_codes(live: str, service: Service) -> None:
    service.submit = [gateway(-10001, 401)]
    told = {}
    for language in ("en", "ja", "zh-CN"):
        client = gradio_client.Client(live, verbose=False, headers={"Accept-Language": language}, httpx_kwargs=PATIENT)
        ordered = client.predict(
            None, f"In {language}.", True, "https://photos.example/face.jpg", True, api_name="/submit"
        )
        told[language] = ended(client, ordered["ticket"])
    assert {each["reason"] for each in told.values()} == {"key"}
    assert {each["state"] for each in told.values()} == {"refused"}
    assert told["en"]["message"].startswith("The service does not accept this key.")
    with read_in("ja"):
        assert told["ja"]["message"].startswith(gettext("The service does not accept this key."))
    assert len({each["message"] for each in told.values()}) == 3
    with httpx.Client(base_url=live, trust_env=False, headers={"Accept-Language": "zh"}) as http:
        refused = http.post("gradio_api/upload", files=[("files", ("a.jpg", b"")), ("files", ("b.jpg", b""))])
        assert re.search("[\u4e00-\u9fff]", refused.text)
