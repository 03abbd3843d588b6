"""Four processes on one database are one page: limits, payments, clips and deletions hold over all of them."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from ..support.pages import click, expect_playing, expect_state, say, start
from ..support.replicas import clip_address, clip_at, is_here, orders, replicas, status, takeover
from ..support.service import FILE, KEY, Service, task
from ..support.waiting import wait_until

pytestmark = pytest.mark.long

WIDE = {"S2V_CONCURRENT": "1000", "S2V_PER_MINUTE": "1000", "S2V_WAITING": "1000"}


@pytest.fixture
def service(service_thread: Service, clip: bytes) -> Service:
    if not is_here():
        assert os.environ.get("CI") != "true"
        pytest.skip("there is no nginx, or no PostgreSQL")
    fresh = Service(clip)
    for call in ("submit", "query", "file", "backup", "requests"):
        setattr(service_thread, call, getattr(fresh, call))
    return service_thread


@pytest.fixture
def live(service: Service) -> dict[str, str]:
    return {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url}


def test_the_cap_of_the_day_is_exact_and_equal_orders_are_one(
    tmp_path: Path, service: Service, live: dict[str, str]
) -> None:
    service.query = [task("Processing")]
    with replicas(tmp_path, 4, S2V_CLIPS_PER_DAY="20", **WIDE, **live) as page:
        equal = orders(page, ["The same."] * 24, visitors=1)
        wait_until(lambda: page.states() == ["rendering"], "it is paid")
        # Each who ordered has it, by a ticket of their own.
        assert {status(page.each[0], ticket) for ticket in equal} == {"rendering"}
        tickets = orders(page, [f"She counts to {number}." for number in range(200)])
        wait_until(lambda: "queued" not in page.states(), "each is paid or refused", seconds=120)
        states = Counter(page.states())
        assert len(service.calls("submit")) == states["rendering"] == 20
        # An order that could not be written within ten seconds is refused, and taken back if it is written after all.
        assert states.keys() <= {"rendering", "refused", "cancelled"}
        assert states.total() <= 201
        assert {status(page.each[1], ticket) for ticket in tickets} <= {*states, ""}


def test_a_visitors_cap_holds_over_all_processes(tmp_path: Path, service: Service, live: dict[str, str]) -> None:
    with replicas(tmp_path, 2, S2V_CLIPS_PER_VISITOR="2", **WIDE, **live) as page:
        tickets = orders(page, [f"She counts to {number}." for number in range(6)], visitors=1)

        def ended() -> bool:
            return all(status(page.each[1], ticket) in ("done", "refused") for ticket in tickets)

        wait_until(ended, "all have ended")
        assert len(service.calls("submit")) == 2


@pytest.mark.timeout(400)
def test_a_job_goes_on_whichever_process_dies_and_whatever_it_was_doing(
    tmp_path: Path, service: Service, live: dict[str, str]
) -> None:
    with replicas(tmp_path, 4, S2V_CONCURRENT="1", **live) as page:
        tickets = {}
        for number, state in enumerate(("queued", "sending", "rendering", "fetching")):
            tickets[state], _ = takeover(page, service, number, state)
            page.start(number)
        # What may have been paid is not sent again.
        ends = {"queued": "done", "sending": "unknown", "rendering": "done", "fetching": "done"}
        assert {state: status(page.each[3], ticket) for state, ticket in tickets.items()} == ends
        # With the one that another waited for.
        assert len(service.calls("submit")) == 5
        assert len({clip_at(url, tickets["fetching"]) for url in page.each}) == 1


def test_a_page_outlives_the_process_that_served_it(
    tmp_path: Path, service: Service, live: dict[str, str], open_page: Callable[..., Page]
) -> None:
    service.query = [task("Processing")]
    with replicas(tmp_path, 2, **live) as page:
        shown = open_page(page.url)
        start(shown, "She stays.")
        expect_state(shown, "rendering")
        ticket = shown.locator("#status .card").get_attribute("data-ticket")
        logs = [(folder / "log").read_text().count("begins") for folder in page.folders]
        page.kill(logs.index(1))
        service.query = [task("Success", file_id=FILE)]
        expect_state(shown, "done")
        expect_playing(shown, 64)
        assert shown.locator("#status .card").get_attribute("data-ticket") == ticket
        assert len(service.calls("submit")) == 1
        # Its form has come back with its job.
        say(shown, "And once more.")
        shown.locator("#consent input").check()
        click(shown)
        expect(shown.locator(".clips li")).to_have_count(2)
        expect_state(shown, "done")


def test_what_is_deleted_on_one_process_is_served_by_none(
    tmp_path: Path, service: Service, live: dict[str, str], open_page: Callable[..., Page]
) -> None:
    with replicas(tmp_path, 4, **live) as page:
        for number, url in enumerate(page.each):
            shown = open_page(url)
            start(shown, f"She goes {number}.")
            expect_state(shown, "done")
            ticket = str(shown.locator("#status .card").get_attribute("data-ticket"))
            files = [clip_address(each, ticket) for each in page.each]
            assert {httpx.get(file, trust_env=False).status_code for file in files} == {200}
            for _ in range(2):
                shown.locator("#delete").click()
            expect(shown.locator("#status .ending")).to_contain_text("The clip was deleted here.")
            for file in files:
                start_of, path = file.split("file=")
                for way in (path, f"/proc/self/root{path}", path.replace("/", "//")):
                    assert httpx.get(f"{start_of}file={way}", trust_env=False).status_code in (403, 404)
