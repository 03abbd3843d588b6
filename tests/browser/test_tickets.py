"""A ticket stays with the browser that has it, whatever its tabs do."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from s2v_core.server.limits import ServerLimits

from ..support.pages import click, expect_playing, expect_state, say, served, start
from ..support.photos import PORTRAIT
from ..support.service import FILE, Service, task
from ..support.waiting import wait_until

pytestmark = pytest.mark.long

# Keeps the last word of each stream back until it is let go.
HELD = """
const usual = window.fetch, free = new Promise((go) => (window.letGo = go));
window.fetch = async (asked, options) => {
  const answer = await usual(asked, options);
  if (!(asked.url ?? String(asked)).includes("queue/data")) return answer;
  const hold = new TransformStream({
    async transform(chunk, out) {
      const said = new TextDecoder().decode(chunk), last = said.search(/data: .*"close_stream"/);
      if (last < 0) return out.enqueue(chunk);
      out.enqueue(new TextEncoder().encode(said.slice(0, last)));
      window.held = true;
      await free;
      out.enqueue(new TextEncoder().encode(said.slice(last)));
    },
  });
  return new Response(answer.body.pipeThrough(hold), { headers: answer.headers });
};
"""
# Holds the news of a clip back until all is said, and tells it together.
TOGETHER = """
const usual = window.fetch;
window.fetch = async (asked, options) => {
  const answer = await usual(asked, options);
  if (!(asked.url ?? String(asked)).includes("queue/data")) return answer;
  let kept = "";
  const hold = new TransformStream({
    transform(chunk, out) {
      const said = kept + new TextDecoder().decode(chunk, { stream: true });
      kept = said.includes('"Your clip is ready"') && !said.includes('"process_completed"') ? said : "";
      if (!kept) out.enqueue(new TextEncoder().encode(said));
    },
  });
  return new Response(answer.body.pipeThrough(hold), { headers: answer.headers });
};
"""
# Loses the first word of the first generator.
LOST = """
const usual = window.fetch;
window.fetch = async (asked, options) => {
  const answer = await usual(asked, options);
  if (!(asked.url ?? String(asked)).includes("queue/data")) return answer;
  const lose = new TransformStream({
    transform(chunk, out) {
      let said = new TextDecoder().decode(chunk);
      const first = said.match(/^data: .*"process_generating".*$/m);
      if (first && !window.lost) said = said.replace((window.lost = first[0]), 'data: {"msg":"heartbeat"}');
      out.enqueue(new TextEncoder().encode(said));
    },
  });
  return new Response(answer.body.pipeThrough(lose), { headers: answer.headers });
};
"""
DENIED = "() => ['getItem', 'setItem'].forEach((name) => (Storage.prototype[name] = () => { throw Error('denied') }))"


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


@pytest.fixture
def second(open_page: Callable[..., Page], live: str) -> Iterator[Callable[..., Page]]:
    """Another tab of the same browser."""
    tabs: list[Page] = []

    def second(page: Page, url: str = live) -> Page:
        tab = page.context.new_page()
        tabs.append(tab)
        tab.goto(url)
        return tab

    yield second
    for tab in tabs:
        tab.close()


def kept(page: Page) -> list[str]:
    return [ticket for ticket, _ in page.evaluate("JSON.parse(localStorage['s2v-clips'])")]


def cards(page: Page) -> list[str]:
    return page.locator(".clips li").evaluate_all("cards => cards.map((card) => card.dataset.ticket)")


def make(page: Page, prompt: str) -> str:
    say(page, prompt)
    click(page)
    made = page.locator(".clips li", has_text=prompt)
    expect(made).to_have_count(1)
    return str(made.get_attribute("data-ticket"))


def test_two_tabs_keep_each_others_tickets_and_see_each_others_cards(
    live: str, service: Service, open_page: Callable[..., Page], second: Callable[..., Page]
) -> None:
    page = open_page(live)
    start(page, "The first.")
    expect_state(page, "done")
    tab = second(page)
    expect_state(tab, "done")
    expect(tab.locator("#preflight")).to_contain_text("Ready")
    expect(tab.locator("#prompt textarea")).to_have_value("The first.")
    tab.locator("#consent input").check()
    paid = make(tab, "Paid in the second tab.")
    expect(page.locator(".clips li")).to_have_count(2)
    expect(page.locator(".clips li b")).to_have_count(0)
    expect(page.locator("#status .ticket code")).to_have_attribute("title", cards(page)[1])
    mine = make(page, "Paid in the first tab.")
    expect(tab.locator(".clips li")).to_have_count(3)
    assert kept(page) == kept(tab) == cards(page) == cards(tab)
    assert kept(page)[:2] == [mine, paid]
    expect_state(page, "done")
    page.locator("#delete").click()
    expect(page.locator("#delete")).to_have_text("Delete for good?")
    page.locator("#delete").click()
    expect(page.locator("#status h2")).to_have_text("Deleted")
    expect(tab.locator(".clips li")).to_have_count(2)
    assert paid in kept(page)
    page.reload()
    expect(page.locator(".clips li").first).to_contain_text("Paid in the second tab.")


def test_a_presenters_window_goes_on_to_the_newest_job_of_the_browser(
    live: str, service: Service, open_page: Callable[..., Page], second: Callable[..., Page]
) -> None:
    page = open_page(live)
    wall = second(page)
    wall.goto(live + "?present=1")
    start(page, "The first.")
    expect_state(wall, "done")
    service.query = [task("Processing")]
    make(page, "The second.")
    expect_state(wall, "rendering")


def test_a_clip_can_be_made_while_another_renders_and_both_cards_follow_their_jobs(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    service.query = [task("Processing")]
    start(page, "The first.")
    expect_state(page, "rendering")
    expect(page.locator("#generate")).to_contain_text("Make another · ")
    make(page, "The second.")
    expect_state(page, "rendering")
    expect(page.locator(".clips li b")).to_have_text(["rendering", "rendering"])
    expect(page.locator(".under-way li .words")).to_have_text("The first.")
    expect(page.locator(".clips .quiet").last).to_contain_text(re.compile(r"^0:\d\d"))
    page.locator("#stop").click()
    expect(page.locator("#status h2")).to_have_text("Running in the background")
    expect(page.locator("#delete")).to_be_hidden()
    expect(page.locator("#generate")).to_contain_text("Make the clip · ")
    service.query = [task("Success", file_id=FILE)]
    expect(page.locator(".clips li b")).to_have_count(0)
    assert "data:image/jpeg" in str(page.locator(".clips .poster").first.get_attribute("style"))
    expect(page.locator("#status h2")).to_have_text("Running in the background")
    assert len(service.calls("submit")) == 2


def test_rehearsals_push_no_paid_ticket_out(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    rehearsed = [["s2v_paid", True], *([f"s2v_free{number}", False] for number in range(150))]
    page.evaluate("(list) => localStorage.setItem('s2v-clips', JSON.stringify(list.reverse()))", rehearsed)
    start(page, "One more.")
    expect_state(page, "done")
    left = kept(page)
    assert (len(left), left[-1]) == (102, "s2v_paid")


def test_without_storage_a_page_keeps_its_tickets_as_long_as_it_is_open(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.evaluate(DENIED)
    start(page, "The first.")
    expect_state(page, "done")
    make(page, "The second.")
    expect_state(page, "done")
    expect(page.locator(".clips li")).to_have_count(2)


def test_a_full_storage_takes_no_ticket_away(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    start(page, "The first.")
    expect_state(page, "done")
    page.evaluate("() => (Storage.prototype.setItem = () => { throw Error('full') })")
    make(page, "The second.")
    expect_state(page, "done")
    expect(page.locator(".clips li")).to_have_count(2)


def test_what_was_asked_about_one_clip_is_not_done_to_another(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    start(page, "The first.")
    expect_state(page, "done")
    make(page, "The second.")
    expect_state(page, "done")
    page.locator("#delete").click()
    expect(page.locator("#delete")).to_have_text("Delete for good?")
    page.locator(".clips li .open").last.evaluate("(button) => button.click()")
    expect(page.locator("#delete")).to_have_text("Delete")
    page.locator("#delete").click()
    expect(page.locator("#delete")).to_have_text("Delete for good?")
    expect(page.locator(".clips li b")).to_have_count(0)


def test_a_job_made_of_a_link_comes_back_with_its_link(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.locator("#by-link .label-wrap").click()
    link, button = page.locator("#link :is(input, textarea)"), page.locator("#generate")

    def entered() -> bool:
        # Gradio empties a field that is filled in the moment in which it is mounted.
        link.fill("https://photos.example/face.jpg")
        return button.get_attribute("data-lacks") == "Write the scene"

    wait_until(entered, "the page knows the link")
    page.locator("#consent input").check()
    make(page, "By a link.")
    expect_state(page, "done")
    page.reload()
    expect(page.locator("#link :is(input, textarea)")).to_have_value("https://photos.example/face.jpg")
    expect(page.locator("#prompt textarea")).to_have_value("By a link.")
    expect(page.locator("#generate")).to_have_attribute("data-lacks", "Confirm that you may use this face")


def test_what_lies_in_the_storage_can_be_anything(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    for stored in ("[1", "7", json.dumps([["s2v_nobody", True], 3, [4]])):
        page.evaluate("(text) => localStorage.setItem('s2v-clips', text)", stored)
        page.reload()
        expect(page.locator("#status h2")).to_have_text("Ready when you are")
        page.locator("#subject input[type=file]").set_input_files(PORTRAIT)
        expect(page.locator("#preflight")).to_contain_text("Ready")


def test_who_simulated_is_not_led_back_to_what_costs_by_a_reload(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.locator("#service label", has_text="Simulator").click()
    expect(page.locator("#generate")).to_contain_text("free")
    start(page, "For free.")
    expect_state(page, "done")
    page.reload()
    expect(page.locator("#prompt textarea")).to_have_value("For free.")
    expect(page.locator("#generate")).to_contain_text("free")
    expect(page.locator("#service input[value=simulator]")).to_be_checked()
    assert service.requests == []


def test_a_player_whose_line_was_cut_plays_when_it_is_back(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.route("**/*.mp4", lambda route: route.abort())
    start(page, "The first.")
    expect_state(page, "done")
    page.wait_for_function("document.querySelector('#clip video')?.error")
    page.unroute("**/*.mp4")
    page.wait_for_function("document.querySelector('#clip video')?.readyState >= 2")


# What a page hears


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("data", {"status": 429, "body": "4 clips are being watched already."}),
        ("data", {"body": 'data: {"msg":"unexpected_error","session_not_found":true}\n\n'}),
        ("join", {"status": 502, "content_type": "text/html", "body": "<h1>502 Bad Gateway</h1>"}),
        ("join", None),
    ],
)
def test_a_page_that_gets_no_stream_keeps_its_ticket_and_follows_its_job(
    call: str, answer: dict[str, Any] | None, live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.route(f"**/queue/{call}*", lambda route: route.fulfill(**answer) if answer else route.abort())
    service.query = [task("Processing")]
    # What goes when a page loads itself anew.
    page.evaluate("window.opened = true")
    start(page, "Nobody watches.")
    expect_state(page, "rendering")
    ticket = page.locator("#status .card").get_attribute("data-ticket")
    assert kept(page) == [ticket]
    service.query = [task("Success", file_id=FILE)]
    expect_state(page, "done")
    expect_playing(page, 64)
    expect(page.locator("#likeness .stills button")).to_have_count(5)
    assert page.evaluate("window.opened")
    assert len(service.calls("submit")) == 1


def test_the_pictures_of_a_clip_come_to_a_page_without_a_stream_after_it(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.route("**/queue/data*", lambda route: route.fulfill(status=429, body="4 clips are being watched already."))

    def without(said: Any) -> Any:
        """As it is before they are made."""
        if isinstance(said, dict):
            return {key: without(value) for key, value in said.items() if key not in ("stills", "faces")}
        return [without(each) for each in said] if isinstance(said, list) else said

    def look(route: Route) -> None:
        if '"again"' not in (route.request.post_data or ""):
            return route.fallback()
        answer = route.fetch()
        return route.fulfill(response=answer, json=without(answer.json()))

    page.route("**/run/predict*", look)
    start(page, "Nobody watches.")
    expect_state(page, "done")
    expect(page.locator("#likeness .stills button")).to_have_count(5)


def test_a_page_that_gets_no_stream_opens_another_clip(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.route("**/queue/data*", lambda route: route.fulfill(status=429, body="4 clips are being watched already."))
    start(page, "The first.")
    expect_state(page, "done")
    make(page, "The second.")
    expect(page.locator("#likeness .caption")).to_have_text("The second.")
    expect_state(page, "done")
    page.locator(".clips .open", has_text="The first.").click()
    expect(page.locator("#likeness .caption")).to_have_text("The first.")
    expect_playing(page, 64)


def test_a_clip_that_is_opened_as_a_stream_is_being_closed_is_shown(live: str, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    start(page, "The first.")
    expect_state(page, "done")
    make(page, "The second.")
    expect_state(page, "done")
    page.add_init_script(HELD)
    page.reload()
    page.wait_for_function("window.held")
    with page.expect_response("**/queue/join*"):
        page.locator(".clips .open", has_text="The first.").click()
    page.evaluate("letGo()")
    expect(page.locator("#likeness .caption")).to_have_text("The first.")
    page.locator(".clips .open", has_text="The second.").click()
    expect(page.locator("#likeness .caption")).to_have_text("The second.")


def test_what_is_told_together_is_shown_whole(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    page.add_init_script(TOGETHER)
    page.reload()
    expect(page.locator(".loading")).to_have_count(0)
    service.query = [task("Processing")]
    start(page, "Told together.")
    expect_state(page, "rendering")
    # It cannot ask for what it has not understood.
    page.route("**/run/predict*", lambda route: route.abort())
    service.query = [task("Success", file_id=FILE)]
    expect_state(page, "done")
    expect(page.locator("#likeness .stills button")).to_have_count(5)


def test_a_watch_whose_first_word_is_lost_is_asked_anew(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.add_init_script(LOST)
    page.reload()
    expect(page.locator(".loading")).to_have_count(0)
    service.query = [task("Processing")]
    start(page, "Its first word is lost.")
    expect_state(page, "rendering")
    service.query = [task("Success", file_id=FILE)]
    expect_state(page, "done")
    expect(page.locator("#likeness .stills button")).to_have_count(5)
    assert page.evaluate("window.lost")
    assert page.locator("#service input:checked").get_attribute("value") == "live"


def test_more_pages_than_streams_at_one_address_each_keep_what_they_paid_for(
    tmp_path: Path, service: Service, open_page: Callable[..., Page], second: Callable[..., Page]
) -> None:
    with served(tmp_path, limits=ServerLimits(streams=1), S2V_SIMULATOR_SECONDS="20") as url:
        one = open_page(url)
        two = second(one, url)
        for page, prompt in ((one, "The first."), (two, "The second.")):
            start(page, prompt)
            expect(page.locator("#status .card")).to_have_attribute("data-ticket", re.compile("s2v_"))
            expect_state(page, "rendering")
        assert len(set(kept(one))) == 2
        for page in (one, two):
            expect_state(page, "done")


@pytest.mark.parametrize("arrived", [True, False])
def test_an_order_whose_answer_is_lost_is_found_or_was_never_there(
    arrived: bool, live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    service.query = [task("Processing")]
    lost: list[bool] = []

    def lose(route: Route) -> None:
        if lost or "Lost on its way." not in (route.request.post_data or ""):
            return route.fallback()
        if arrived:
            route.fetch()
        lost.append(True)
        return route.abort()

    page.route("**/run/predict*", lose)
    start(page, "Lost on its way.")
    if arrived:
        expect_state(page, "rendering")
        assert kept(page) == [page.locator("#status .card").get_attribute("data-ticket")]
        expect(page.locator(".clips li")).to_have_count(1)
    else:
        expect(page.locator("#status h2")).to_have_text("The order did not arrive")
        expect(page.locator("#status .ending")).to_contain_text("Nothing was charged.")
        page.locator("#status .action").click()
        expect_state(page, "rendering")
    assert len(service.calls("submit")) == 1


def test_a_page_whose_server_was_started_anew_goes_on_with_its_job(
    tmp_path: Path, service: Service, open_page: Callable[..., Page]
) -> None:
    with served(tmp_path, kill=True, S2V_SIMULATOR_SECONDS="8") as url:
        page = open_page(url)
        start(page, "It survives.")
        expect_state(page, "rendering")
        expect(page.locator("#clip")).to_be_attached()
        ticket = page.locator("#status .card").get_attribute("data-ticket")
    with served(tmp_path, port=urlsplit(url).port, S2V_SIMULATOR_SECONDS="8"):
        expect_state(page, "done")
        assert page.locator("#status .card").get_attribute("data-ticket") == ticket
        expect(page.locator(".clips li")).to_have_count(1)
