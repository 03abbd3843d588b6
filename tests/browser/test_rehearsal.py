"""A showing from beginning to end, with all that goes wrong at one."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ..support.pages import WIDE, click, expect_playing, expect_state, say, served, start
from ..support.service import FILE, KEY, Service, task
from ..support.waiting import wait_until

pytestmark = pytest.mark.long

# Two words of one card that lie over each other.
OVERLAPS = """() => {
  const seen = (node) => node.checkVisibility({ visibilityProperty: true }) && node.textContent.trim();
  const words = "#status :is(h2, .clock, .caption, dd, li, button, a):not(#clip *)";
  const shown = [...document.querySelectorAll(words)].filter(seen);
  const box = (node) => node.getBoundingClientRect();
  const meet = (a, b, from, to) => a[from] < b[to] - 2 && b[from] < a[to] - 2;
  const over = (a, b) => meet(a, b, "left", "right") && meet(a, b, "top", "bottom");
  return shown.flatMap((one, place) => shown.slice(place + 1)
    .filter((other) => !one.contains(other) && over(box(one), box(other)))
    .map((other) => `${one.textContent.trim()} | ${other.textContent.trim()}`));
}"""


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(reduced_motion="no-preference", viewport=WIDE) as context:  # type: ignore[arg-type]
        yield context


def tickets(page: Page) -> list[str]:
    return [ticket for ticket, _ in page.evaluate("JSON.parse(localStorage['s2v-clips'] ?? '[]')")]


@pytest.mark.timeout(300)
def test_a_showing_survives_a_second_clip_a_lost_line_and_a_killed_server(
    service: Service, visitor: BrowserContext, tmp_path: Path
) -> None:
    environment = {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url}
    page, complaints = visitor.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    with served(tmp_path, kill=True, **environment) as url:
        page.goto(url)
        page.wait_for_function("document.querySelector('.playing video')?.currentTime > 0")
        wall = visitor.new_page()
        wall.on("pageerror", lambda error: complaints.append(str(error)))
        wall.goto(f"{url}?present=1")
        service.query = [task("Processing")]
        start(page, "The first.")
        expect_state(page, "rendering")
        expect(wall.locator("#likeness .caption")).to_have_text("The first.")
        assert wall.evaluate(OVERLAPS) == []
        expect(page.locator("#generate")).to_contain_text("Make another")
        say(page, "The second.")
        click(page)
        expect(page.locator("#likeness .caption")).to_have_text("The second.")
        expect(wall.locator("#likeness .caption")).to_have_text("The second.")
        expect(page.locator(".clips li")).to_have_count(2)
        wait_until(lambda: len(service.calls("submit")) == 2, "both are paid")
        page.bring_to_front()
        visitor.set_offline(True)
        page.wait_for_timeout(6000)
        visitor.set_offline(False)
        expect_state(page, "rendering")
        assert page.evaluate(OVERLAPS) == []
        made = tickets(page)
        assert len(made) == 2
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database, database:
        # The dead process would hold them for its lease.
        database.execute("UPDATE jobs SET leased_until = '2000-01-01 00:00:00.000000'")
    wall.close()
    service.query = [task("Success", file_id=FILE)]
    with served(tmp_path, port=urlsplit(url).port, **environment):
        # Gradio's page reloads itself when its server is back; who has no patience does it by hand.
        page.close()
        page = visitor.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        expect_state(page, "done")
        expect_playing(page, 64)
        assert tickets(page) == made
        expect(page.locator("#prompt textarea")).to_have_value("The second.")
        page.locator("#likeness .reference").click()
        expect(page.locator("#likeness .reference")).to_have_attribute("aria-pressed", "true")
        assert page.evaluate(OVERLAPS) == []
        page.locator("#delete").click()
        expect(page.locator("#delete")).to_have_text("Delete for good?")
        page.locator("#delete").click()
        expect(page.locator("#status h2")).to_have_text("Deleted")
        expect(page.locator(".clips li")).to_have_count(1)
        assert tickets(page) == made[1:]
    assert len(service.calls("submit")) == 2
    assert complaints == []
