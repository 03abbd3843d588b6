"""Several scenes of one face: a job each, all at one click for the sum that the button names, and then joined."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from s2v_core.clip import marks

from ..support.clips import describe
from ..support.pages import PHONE, click, expect_state, say, served
from ..support.service import FILE, KEY, Service, task
from ..support.waiting import wait_until

pytestmark = pytest.mark.long

SCENES = "She nods.\n\n  She waves.  \nShe bows.\nShe nods."


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


def kept(page: Page) -> list[str]:
    return [ticket for ticket, _ in page.evaluate("JSON.parse(localStorage['s2v-clips'] ?? '[]')")]


def text(route: Route) -> str:
    return route.request.post_data or ""


def chosen(page: Page, scenes: str = SCENES) -> None:
    """All but the click, with the button's price as it should be."""
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("Ready")
    say(page, scenes)
    if page.locator("#consent input").is_visible():
        page.locator("#consent input").check()


def test_each_scene_becomes_a_clip_and_they_are_joined(
    live: str, live_folder: Path, service: Service, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(live)
    chosen(page)
    expect(page.locator("#prompt")).to_have_attribute("data-count", "3 clips of this face")
    expect(page.locator("#generate")).to_contain_text("Make 3 clips · priced by")
    service.query = [task("Processing")]
    click(page)
    expect_state(page, "rendering")
    expect(page.locator("#likeness .caption")).to_have_text("She nods.")
    wait_until(lambda: len(service.calls("submit")) == 3, "all are paid")
    assert {call.json["prompt"] for call in service.calls("submit")} == {"She nods.", "She waves.", "She bows."}
    cards = page.locator(".clips li")
    expect(cards).to_have_count(3)
    assert len(set(kept(page))) == 3
    expect(page.locator("#generate")).to_contain_text("Make 3 more")
    service.query = [task("Success", file_id=FILE)]
    mine = page.locator("#history .mine .words")
    expect(mine).to_have_count(3)
    expect(page.locator(".clips .running")).to_have_count(0)
    assert mine.all_inner_texts() == ["She nods.", "She waves.", "She bows."]
    joining = page.locator(".join")
    expect(joining).to_be_hidden()
    for number in (2, 0):
        page.locator(".pick input").nth(number).check()
    expect(joining).to_have_text("Join 2 clips as a reel")
    page.locator(".compare").click()
    videos = page.locator("#reel video")
    expect(videos).to_have_count(2)
    expect(page.locator("#reel figcaption")).to_have_text(["She nods.", "She bows."])
    page.wait_for_function("[...document.querySelectorAll('#reel video')].every((video) => video.readyState >= 2)")
    videos.first.evaluate("video => video.play()")
    page.wait_for_function("[...document.querySelectorAll('#reel video')].every((video) => video.currentTime > 0)")
    joining.click()
    expect(page.locator("#reel a")).to_be_visible()
    page.wait_for_function("document.querySelector('#reel video').readyState >= 2")
    expect(page.locator("#reel .generated")).to_be_visible()
    with page.expect_download() as download:
        page.locator("#reel a").click()
    download.value.save_as(tmp_path / "reel.mp4")
    assert describe(tmp_path / "reel.mp4").frames == 20
    assert len(marks.read(tmp_path / "reel.mp4").fields[marks.PARTS].split()) == 2
    # It goes with any of its parts.
    assert len(list(live_folder.rglob("s2v-reel.mp4"))) == 1
    page.locator(".mine .remove").first.click()
    page.locator(".mine .remove").first.click()
    expect(cards).to_have_count(2)
    assert list(live_folder.rglob("s2v-reel.mp4")) == []


def test_what_fails_of_several_is_told_job_by_job(
    tmp_path: Path, service: Service, open_page: Callable[..., Page]
) -> None:
    with served(tmp_path, S2V_API_KEY=KEY, S2V_BASE_URL=service.base_url, S2V_CLIPS_PER_DAY="2") as url:
        page = open_page(url)
        chosen(page)
        expect(page.locator("#generate")).to_contain_text("Make 3 clips")
        click(page)
        expect(page.locator(".clips li")).to_have_count(3)
        refused = page.locator(".clips li").filter(has_text="refused")
        expect(refused).to_have_count(1)
        refused.locator(".open").click()
        expect(page.locator("#status .ending")).to_contain_text("Nothing was charged.")
        expect(page.locator("#prompt textarea")).to_have_value(SCENES)
        expect_state(page, "refused")
        # What is still being loaded would be missed when its server goes.
        expect(page.locator("#clip")).to_be_attached()
        page.close()
    assert len(service.calls("submit")) == 2


def test_nothing_is_paid_at_another_price_than_the_button_names(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)

    def lose(route: Route) -> None:
        # What tells the server of the scenes is late.
        lost = '"count":3' in (route.request.post_data or "")
        route.abort() if lost else route.fallback()

    page.route("**/run/predict*", lose)
    chosen(page)
    page.wait_for_timeout(600)
    expect(page.locator("#generate")).to_contain_text("Make the clip")
    click(page)
    expect(page.locator("#status .ending")).to_contain_text("What the button named is not what would have been made.")
    expect(page.locator("#generate")).to_contain_text("Make 3 clips")
    assert service.calls("submit") == []
    click(page)
    wait_until(lambda: len(service.calls("submit")) == 3, "all are paid")


def test_nothing_is_paid_with_another_service_than_the_button_names(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    chosen(page, "She nods.")
    page.get_by_label("Simulator").check()
    expect(page.locator("#generate")).to_contain_text("Make the clip · free")
    # What tells the server of the choice is late.
    page.route("**/run/predict*", lambda route: route.abort() if "live" in text(route) else route.fallback(), times=1)
    page.locator("#service label", has_text="left today").click()
    click(page)
    expect(page.locator("#status .ending")).to_contain_text("What the button named is not what would have been made.")
    expect(page.locator("#generate")).to_contain_text("Make the clip · priced by")
    assert service.calls("submit") == []
    page.locator("#consent input").check()
    click(page)
    wait_until(lambda: len(service.calls("submit")) == 1, "it is paid")


def test_one_of_several_is_made_again_alone(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    service.query = [task("Fail")]
    chosen(page)
    expect(page.locator("#generate")).to_contain_text("Make 3 clips")
    click(page)
    expect(page.locator(".clips li b")).to_have_text(["failed"] * 3)
    page.locator(".mine .open", has_text="She nods.").click()
    expect(page.locator("#likeness .caption")).to_have_text("She nods.")
    page.get_by_role("button", name="Make it again").click()
    wait_until(lambda: len(service.calls("submit")) == 4, "it is paid")
    assert service.calls("submit")[-1].json["prompt"] == "She nods."
    expect(page.locator("#prompt textarea")).to_have_value("She nods.")
    expect(page.locator("#generate")).to_contain_text("clip · priced by")


def test_more_scenes_than_are_made_at_once_are_told_at_the_button(
    simulated: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(simulated)
    chosen(page, "\n".join(f"She counts to {number}." for number in range(7)))
    expect(page.locator("#generate")).to_have_attribute("data-lacks", "Leave out scenes: 6 at most")
    expect(page.locator("#ideas .add")).to_be_hidden()
    say(page, "She counts.")
    page.locator("#ideas .add").click()
    page.keyboard.type("She stops.")
    expect(page.locator("#prompt textarea")).to_have_value("She counts.\nShe stops.")
    expect(page.locator("#generate")).to_contain_text("Make 2 clips · free")


def test_an_answer_that_is_lost_leaves_no_ticket_of_several_behind(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    service.query = [task("Processing")]
    lost: list[bool] = []

    def lose(route: Route) -> None:
        if lost or "She bows." not in (route.request.post_data or ""):
            return route.fallback()
        route.fetch()
        lost.append(True)
        return route.abort()

    chosen(page)
    expect(page.locator("#generate")).to_contain_text("Make 3 clips")
    page.route("**/run/predict*", lose)
    click(page)
    expect_state(page, "rendering")
    expect(page.locator(".clips li")).to_have_count(3)
    assert len(kept(page)) == 3
    assert len(service.calls("submit")) == 3


def test_a_phone_shows_what_several_scenes_cost(simulated: str, open_page: Callable[..., Page]) -> None:
    page = open_page(simulated, PHONE)
    chosen(page)
    expect(page.locator("#generate")).to_contain_text("Make 3 clips · free")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    click(page)
    expect(page.locator(".clips li")).to_have_count(3)
