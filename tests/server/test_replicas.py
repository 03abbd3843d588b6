"""Four processes on one database are one page: limits, payments, clips and deletions hold over all of them."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from ..support.pages import click, expect_playing, expect_state, say, start
from ..support.replicas import Replicas, replicas
from ..support.service import FILE, KEY, Service, task
from ..support.waiting import wait_until

pytestmark = pytest.mark.long

WIDE = {"S2V_CONCURRENT": "1000", "S2V_PER_MINUTE": "1000", "S2V_WAITING": "1000"}


@pytest.fixture
def service(service_thread: Service, clip: bytes) -> Service:
    fresh = Service(clip)
    for call in ("submit", "query", "file", "backup", "requests"):
        setattr(service_thread, call, getattr(fresh, call))
    return service_thread


@pytest.fixture
def live(service: Service) -> dict[str, str]:
    return {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url}


def order(url: str, prompt: str, address: str = "192.0.2.1") -> str:
    """The ticket in the answer to the call that queues it there, from whom the proxy says that it comes."""
    body = {"photo_url": "https://photos.example/face.jpg", "prompt": prompt, "consent": True}
    with httpx.Client(base_url=url, trust_env=False, timeout=120, headers={"X-Forwarded-For": address}) as http:
        return str(http.post("gradio_api/call/v2/submit", json=body).raise_for_status().json()["ticket"])


def status(url: str, ticket: str) -> str:
    """The state of a job, or nothing where its ticket is not known."""
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as http:
        asked = http.post("gradio_api/call/status", json={"data": [ticket]}).json()["event_id"]
        told = http.get(f"gradio_api/call/status/{asked}").raise_for_status().text
    return str(json.loads(told.split("data: ")[1])[0]["state"]) if "event: complete" in told else ""


def clip_at(url: str, ticket: str) -> bytes:
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as http:
        asked = http.post("gradio_api/call/clip", json={"data": [ticket]}).json()["event_id"]
        file = json.loads(http.get(f"gradio_api/call/clip/{asked}").text.split("data: ")[1])[0]
        return http.get(f"gradio_api/file={file['path']}").raise_for_status().content


def orders(page: Replicas, prompts: Sequence[str], visitors: int = 20) -> list[str]:
    """Tickets of orders that come at once, to each process in turn, from several visitors."""

    def ask(asked: tuple[int, str]) -> str:
        number, prompt = asked
        return order(page.each[number % len(page.each)], prompt, f"192.0.2.{number % visitors}")

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(ask, enumerate(prompts)))


def test_the_cap_of_the_day_is_exact_and_equal_orders_are_one(
    tmp_path: Path, service: Service, live: dict[str, str]
) -> None:
    service.query = [task("Processing")]
    with replicas(tmp_path, 4, S2V_CLIPS_PER_DAY="20", **WIDE, **live) as page:
        equal = orders(page, ["The same."] * 24, visitors=1)
        wait_until(lambda: len(service.calls("submit")) == 1, "it is paid")
        assert len([ticket for ticket in equal if status(page.each[0], ticket)]) == 1
        tickets = orders(page, [f"She counts to {number}." for number in range(200)])

        def decided() -> bool:
            return page.states().count("queued") == 0 and len(page.states()) == 201

        wait_until(decided, "each is paid or refused", seconds=120)
        assert (page.states().count("refused"), len(page.states())) == (181, 201)
        assert len(service.calls("submit")) == 20
        assert status(page.each[1], tickets[-1]) in ("refused", "rendering")


def test_a_visitors_cap_holds_over_all_processes(tmp_path: Path, service: Service, live: dict[str, str]) -> None:
    with replicas(tmp_path, 2, S2V_CLIPS_PER_VISITOR="2", **WIDE, **live) as page:
        tickets = orders(page, [f"She counts to {number}." for number in range(6)], visitors=1)

        def ended() -> bool:
            return all(status(page.each[1], ticket) in ("done", "refused") for ticket in tickets)

        wait_until(ended, "all have ended")
        assert len(service.calls("submit")) == 2


def test_what_a_dead_process_was_driving_goes_on_and_every_process_has_its_clip(
    tmp_path: Path, service: Service, live: dict[str, str]
) -> None:
    service.query = [task("Processing")]
    with replicas(tmp_path, 3, **live) as page:
        ticket = order(page.each[0], "She waits.")
        wait_until(lambda: status(page.each[1], ticket) == "rendering", "it renders")
        page.kill(0)
        service.query = [task("Success", file_id=FILE)]
        wait_until(lambda: status(page.each[1], ticket) == "done", "another has its clip", seconds=60)
        assert len(service.calls("submit")) == 1
        clips = [clip_at(url, ticket) for url in page.each[1:]]
        assert clips[0] == clips[1]


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
    with replicas(tmp_path, 2, **live) as page:
        shown = open_page(page.each[0])
        start(shown, "She goes.")
        expect_state(shown, "done")
        ticket = str(shown.locator("#status .card").get_attribute("data-ticket"))
        with httpx.Client(base_url=page.each[1], trust_env=False, timeout=120) as http:
            asked = http.post("gradio_api/call/clip", json={"data": [ticket]}).json()["event_id"]
            path = json.loads(http.get(f"gradio_api/call/clip/{asked}").text.split("data: ")[1])[0]["path"]
            assert http.get(f"gradio_api/file={path}").status_code == 200
            for _ in range(2):
                shown.locator("#delete").click()
            expect(shown.locator("#status .ending")).to_contain_text("The clip was deleted here.")
            for way in (path, f"/proc/self/root{path}", path.replace("/", "//")):
                assert http.get(f"gradio_api/file={way}").status_code in (403, 404)
