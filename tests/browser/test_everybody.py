"""The page for everybody: nothing that bars anybody, with the keyboard alone, without jumps, with nothing kept."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from ..support.pages import PHONE, WIDE, click, expect_playing, expect_state, say, start
from ..support.service import FILE, TASK, Answer, Service, gateway, good, task

pytestmark = pytest.mark.long

# Of a job, one after the other, and what the service answers for it.
STATES: list[tuple[str, dict[str, Any]]] = [
    ("rendering", {"query": [task("Processing")]}),
    ("done", {"query": [task("Success", file_id=FILE)]}),
    ("unknown", {"submit": [Answer(reset=True)]}),
    ("refused", {"submit": [gateway(-10001, 401)]}),
    ("failed", {"submit": [good(task_id=TASK)], "query": [task("Fail")]}),
]
OWN = "sk-visitor-51c0ffee"


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['target']}" for each in found if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("theme", "viewport"), [("light", WIDE), ("dark", WIDE), ("light", PHONE), ("dark", PHONE)])
def test_nothing_serious_bars_anybody_in_any_state(
    theme: str, viewport: dict[str, int], live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live, viewport, theme)
    assert violations(page) == []
    if viewport is PHONE:
        page.locator(".pill").click()
    page.locator("#own-key .label-wrap").click()
    expect(page.locator("#key input")).to_be_visible()
    assert violations(page) == []
    for _ in range(2):
        page.keyboard.press("Escape")
    expect(page.locator("#key input")).to_be_hidden()
    page.locator("#by-link .label-wrap").click()
    page.locator("#recovery .label-wrap").click()
    expect(page.locator("#ticket :is(input, textarea)")).to_be_visible()
    assert violations(page) == []
    page.locator("#by-link .label-wrap").click()
    for number, (state, answers) in enumerate(STATES):
        for call, given in answers.items():
            setattr(service, call, given)
        if number == 0:
            start(page, "She waits.")
        elif state != "done":
            say(page, f"She is {state}.")
            click(page)
        expect_state(page, state)
        assert violations(page) == [], state
        if state == "done":
            page.locator("#likeness .reference").click()
            page.locator("#delete").click()
            assert violations(page) == [], "side by side, and asked whether to delete"
    if viewport is PHONE:
        return
    page.evaluate("s2v.present(true)")
    assert violations(page) == [], "an ending on the wall"
    for number, state in ((3, "done"), (4, "rendering")):
        service.query = [task("Processing")]
        page.evaluate("s2v.present(false)")
        if state == "done":
            page.locator(".clips .open").nth(number).click()
        else:
            say(page, "She is on the wall.")
            click(page)
        expect_state(page, state)
        page.evaluate("s2v.present(true)")
        assert violations(page) == [], f"{state} on the wall"


def test_the_whole_job_is_done_with_the_keyboard_alone(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"{selector} shows no focus"
                return
        raise AssertionError(f"{selector} is not reached")

    tab_to(".sample")
    page.keyboard.press("Enter")
    expect(page.locator("#preflight")).to_contain_text("Ready")
    tab_to("#prompt textarea")
    page.keyboard.press("Control+a")
    page.keyboard.type("She waves.")
    tab_to("#consent input")
    page.keyboard.press("Space")
    tab_to("#generate")
    page.keyboard.press("Enter")
    expect_state(page, "done")
    tab_to("#download")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "s2v-she-waves.mp4"


def test_the_layout_does_not_jump_while_a_job_runs(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("Ready")
    page.locator("#consent input").check()
    # A shift within half a second of a click does not count; one that the click above caused shall not either.
    page.wait_for_timeout(300)
    page.evaluate(
        """() => {
          [window.shifted, window.shifts] = [0, []];
          const named = ({ node, previousRect, currentRect }) =>
            `${node?.id || node?.className || node?.nodeName} ${previousRect.y}>${currentRect.y}`;
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) {
              window.shifted += entry.value;
              window.shifts.push([entry.value, entry.sources.map(named)]);
            }
          }).observe({ type: "layout-shift" });
        }"""
    )
    click(page)
    expect_state(page, "done")
    expect_playing(page, 64)
    # Shifts are told some frames after they happened.
    page.wait_for_timeout(300)
    assert page.evaluate("window.shifted") < 0.1, page.evaluate("window.shifts")


def test_the_config_and_the_browsers_storage_hold_tickets_and_nothing_else_of_a_visitor(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    start(page, "A canary sentence. " * 10)
    expect_state(page, "done")
    stored = page.evaluate("({...localStorage})")
    [[ticket, paid]] = json.loads(stored["s2v-clips"])
    assert (ticket[:4], len(ticket), paid) == ("s2v_", 26, True)
    assert set(stored) <= {"s2v-clips", "theme", "loglevel"}
    config = page.request.get(live + "config").text()
    assert "canary" not in config
    assert "s2v_" not in config.replace("s2v_…", "")


def test_in_forced_colours_stages_switch_and_button_can_be_seen(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.emulate_media(forced_colors="active")
    service.query = [task("Processing")]
    start(page)
    expect_state(page, "rendering")
    expect(page.locator("#status .stages .now")).to_have_attribute("data-stage", "Render")
    bars = page.locator("#status .stages li").evaluate_all(
        "stages => stages.map((stage) => getComputedStyle(stage, '::before').backgroundColor)"
    )
    assert (len(set(bars[:3])), len(set(bars))) == (1, 3)
    switch, knob, button = page.evaluate(
        """() => {
          const switched = document.querySelector("#optimizer input"), style = getComputedStyle(switched);
          const button = getComputedStyle(document.querySelector("#generate"));
          const knob = getComputedStyle(switched, "::after").backgroundColor;
          return [style.backgroundColor, knob, [button.borderTopWidth, button.borderTopStyle]];
        }"""
    )
    assert knob != switch
    assert button == ["2px", "solid"]


def test_the_focus_is_lost_by_no_click(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    service.query = [task("Processing")]

    def click_on(selector: str, then: str = "") -> None:
        page.locator(selector).first.click()
        if then:
            expect_state(page, then)
        # What the click does may come a moment later.
        page.wait_for_timeout(500)
        page.wait_for_function("document.activeElement !== document.body", timeout=5000)

    click_on("#examples li button")
    click_on("#examples .use")
    page.locator("#consent input").check()
    click_on("#generate", "rendering")
    click_on("#stop", "idle")
    click_on(".clips .open", "rendering")
    service.query = [task("Success", file_id=FILE)]
    expect_state(page, "done")
    for selector in ("#likeness .reference", "#likeness .stills button", "#again", "#delete", "#delete"):
        click_on(selector)
    click_on("#present")
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement !== document.body")
