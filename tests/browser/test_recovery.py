"""A job outlives its tab, its server and its watcher, and is found again by its ticket; also over HTTP."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import gradio_client
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Browser, BrowserContext, Page, expect

from s2v_core.clip.marks import without

from ..support.pages import PATIENT, ended, expect_state, say, served, start, upload
from ..support.photos import PORTRAIT
from ..support.service import KEY, PROMPT, TASK, Service, code, task

pytestmark = pytest.mark.long


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


def test_a_key_that_stops_working_is_told_while_the_job_waits(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    service.query = [code(1004)]
    page = open_page(live)
    start(page)
    expect(page.locator("#status .line")).to_contain_text("does not accept this key")
    expect(page.locator("#status .card")).to_have_attribute("data-state", "rendering")
    expect(page.locator("#status .card")).to_have_attribute("data-charge", "spent")
    service.query = [task("Success", file_id="1")]
    page.close()


def test_a_job_is_there_again_after_reload_close_and_in_a_second_tab_for_one_payment(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    good, service.query = service.query, [task("Processing")]
    page = open_page(live)
    upload(page, PORTRAIT)
    say(page, "She goes on without me.")
    page.locator("#consent input").check()
    page.locator("#generate").evaluate("button => { for (let i = 0; i < 5; i++) button.click() }")
    expect(page.locator("#status h2")).to_have_text("Rendering")
    stored = page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie")
    assert "She goes on" not in stored
    page.reload()
    expect(page.locator("#status h2")).to_have_text("Rendering")
    page.close()
    page = page.context.new_page()
    page.goto(live)
    expect(page.locator("#status h2")).to_have_text("Rendering")
    expect(page.locator("#status .ticket")).to_contain_text("s2v_")
    other = page.context.new_page()
    other.goto(live)
    expect(other.locator("#status h2")).to_have_text("Rendering")
    service.query = good
    for each in (page, other):
        expect_state(each, "done")
        each.wait_for_function("document.querySelector('#clip video')?.readyState >= 2")
        each.close()
    assert len(service.calls("submit")) == 1


def test_a_killed_server_finds_its_job_again_for_one_payment(
    service: Service, context: BrowserContext, tmp_path: Path
) -> None:
    good, service.query = service.query, [task("Processing")]
    environment = {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url}
    page = context.new_page()
    with served(tmp_path, kill=True, **environment) as url:
        page.goto(url)
        expect(page.locator("#status h2")).to_have_text("Ready when you are")
        start(page)
        expect(page.locator("#status h2")).to_have_text("Rendering")
    service.query = good
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database, database:
        # The dead process would hold it for its lease.
        database.execute("UPDATE jobs SET leased_until = '2000-01-01 00:00:00.000000'")
    # A page of Gradio's reloads itself when its server is back, and would do so in the middle of this.
    page.close()
    page = context.new_page()
    with served(tmp_path, port=urlsplit(url).port, **environment):
        page.goto(url)
        expect_state(page, "done")
        page.wait_for_function("document.querySelector('#clip video')?.readyState >= 2")
        page.close()
    assert len(service.calls("submit")) == 1


def test_over_http_a_job_is_submitted_followed_and_fetched_by_its_ticket(
    live: str, service: Service, clip: bytes
) -> None:
    own = "sk-visitor-51c0ffee"
    for key, headers in ((KEY, None), (own, {"X-S2V-Key": own})):
        client = gradio_client.Client(live, verbose=False, headers=headers, httpx_kwargs=PATIENT)
        with pytest.raises(AppError, match="consent=True"):
            client.predict(handle_file(PORTRAIT), PROMPT, api_name="/submit")
        job = client.predict(handle_file(PORTRAIT), PROMPT, consent=True, api_name="/submit")
        now = ended(client, job["ticket"])
        assert now["state"] == "done"
        assert (now["charge"], now["task_id"]) == ("spent", TASK)
        assert now["elapsed"] >= 0
        assert without(Path(client.predict(job["ticket"], api_name="/clip"))) == clip
        assert service.calls("submit")[-1].headers["authorization"] == f"Bearer {key}"
        assert own not in str(now)
    with pytest.raises(AppError, match="no such ticket"):
        client.predict(job["ticket"][:-1], api_name="/status")
    assert len(service.calls("submit")) == 2


def test_a_ticket_recovers_a_clip_in_another_browser_and_a_wrong_one_does_not(
    live: str, service: Service, browser: Browser, open_page: Callable[..., Page]
) -> None:
    good, service.query = service.query, [task("Processing")]
    page = open_page(live)
    start(page)
    expect(page.locator("#stop")).to_have_text("Leave it running")
    ticket = page.locator("#status .ticket code").get_attribute("title")
    assert ticket
    page.locator("#stop").click()
    expect(page.locator("#status .line")).to_contain_text("It goes on and will appear under")
    expect(page.locator("#stop")).to_be_hidden()
    service.query = good
    with browser.new_context() as stranger:
        other = stranger.new_page()
        other.goto(live)
        expect(other.locator("#status h2")).to_have_text("Ready when you are")
        other.get_by_text("Recover a clip by its ticket").click()
        other.locator("#ticket input, #ticket textarea").fill(ticket[:-1])
        other.locator("#recover").click()
        expect(other.locator("#ticket-says")).to_contain_text("There is no such ticket here")
        other.locator("#ticket input, #ticket textarea").fill(ticket)
        other.locator("#recover").click()
        expect_state(other, "done")
        other.wait_for_function("document.querySelector('#clip video')?.readyState >= 2")


def test_what_waits_can_be_cancelled_and_the_button_says_that_nothing_is_spent(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    service.query = [task("Processing")]
    client = gradio_client.Client(live, verbose=False, httpx_kwargs=PATIENT)
    for number in range(3):
        client.predict(handle_file(PORTRAIT), f"She counts to {number}.", consent=True, api_name="/submit")
    page = open_page(live)
    start(page, "She waits.")
    expect(page.locator("#status .line")).to_contain_text("3 clips are rendering with this key")
    expect(page.locator("#stop")).to_have_text("Cancel, free of charge")
    page.locator("#stop").click()
    expect(page.locator("#status .ending")).to_contain_text("You cancelled it before anything was sent.")
    expect(page.locator("#status .ending")).to_contain_text("Nothing was charged.")
    assert len(service.calls("submit")) == 3
