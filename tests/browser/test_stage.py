"""What plays: examples at first, the portrait and the sentence while one waits, the clip beside its portrait."""

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from s2v_core.clip import marks

from ..support.clips import with_faces
from ..support.pages import PHONE, WIDE, click, expect_playing, expect_state, say, served, start
from ..support.service import FILE, PROMPT, Answer, Service, task
from ..support.waiting import wait_until

pytestmark = pytest.mark.long

PLAYS = "() => { const clip = document.querySelector('.playing video'); return clip?.currentTime > 0 && !clip.paused }"
LOW = {"width": 1280, "height": 720}


@pytest.fixture
def moving(browser: Browser, simulated: str) -> Iterator[Callable[..., Page]]:
    """A page for somebody who did not ask that nothing moves."""
    with browser.new_context(reduced_motion="no-preference") as context:

        def moving(viewport: dict[str, int] = WIDE) -> Page:
            page = context.new_page()
            page.set_viewport_size(viewport)
            page.goto(simulated)
            return page

        yield moving


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


def test_an_example_plays_at_once_says_that_it_is_simulated_and_can_be_used(
    moving: Callable[..., Page],
) -> None:
    page = moving()
    page.wait_for_function(PLAYS)
    expect(page.locator(".playing .sentence")).to_have_text("She looks up at the night sky and smiles.")
    expect(page.locator("#examples .shelf")).to_contain_text("Made by the simulator; no model was asked.")
    expect(page.locator("#examples li")).to_have_count(4)
    page.locator("#examples li button").nth(3).click()
    expect(page.locator(".playing .sentence")).to_contain_text("rough sea")
    page.wait_for_function(PLAYS)
    page.locator("#examples .use").click()
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("rough sea"))
    expect(page.locator("#preflight")).to_contain_text("Ready")
    click(page)
    expect(page.locator(".playing")).to_be_hidden()
    expect(page.locator("#examples .shelf")).to_be_hidden()
    assert page.evaluate("document.querySelector('.playing video').paused")


def test_nothing_plays_for_who_asked_that_nothing_moves(simulated: str, browser: Browser) -> None:
    page = browser.new_page(reduced_motion="reduce")
    page.goto(simulated)
    expect(page.locator(".playing")).to_be_visible()
    page.wait_for_function("document.querySelector('.playing video').poster")
    page.wait_for_timeout(500)
    assert page.evaluate("document.querySelector('.playing video').paused")
    page.close()


@pytest.mark.parametrize("size", [WIDE, LOW], ids=["1440×900", "1280×720"])
def test_the_button_that_pays_is_on_the_first_screen(
    size: dict[str, int], live: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(live, size)
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("Ready")
    box = page.locator("#generate").bounding_box()
    assert box
    assert box["y"] + box["height"] <= size["height"]


def test_on_a_phone_what_plays_comes_first_and_the_button_is_always_at_hand(
    moving: Callable[..., Page],
) -> None:
    page = moving(PHONE)
    page.wait_for_function(PLAYS)
    boxes = [page.locator(part).bounding_box() for part in ("#status", "#order", "#generate")]
    assert all(boxes)
    status, order, button = (box["y"] for box in boxes if box)
    assert status < order
    assert button < PHONE["height"]
    small = page.evaluate(
        """() => [...document.querySelectorAll("#order button, #header button, #order textarea")]
          .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 44)
          .map((node) => node.outerHTML)"""
    )
    assert small == []


def test_scenes_are_tried_by_a_click_and_camera_and_light_are_toggles(
    simulated: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(simulated)
    page.locator(".sample").nth(3).click()
    expect(page.locator("#preflight")).to_contain_text("Ready")
    page.locator("#ideas .scene").nth(2).click()
    prompt = page.locator("#prompt textarea")
    expect(prompt).to_have_value("He raises a mug in a café and grins.")
    chip = page.locator(".idea")
    chip.nth(0).click()
    expect(prompt).to_have_value("He raises a mug in a café and grins, slow push in.")
    expect(chip.nth(0)).to_have_attribute("aria-pressed", "true")
    chip.nth(1).click()
    expect(prompt).to_have_value("He raises a mug in a café and grins, handheld camera.")
    expect(chip.nth(0)).to_have_attribute("aria-pressed", "false")
    chip.nth(3).click()
    chip.nth(1).click()
    expect(prompt).to_have_value("He raises a mug in a café and grins, at night.")
    expect(page.locator("#prompt")).to_have_attribute("data-count", "11 words")


def test_while_one_waits_the_portrait_and_the_sentence_are_on_the_stage(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    service.query = [task("Processing")]
    start(page)
    expect_state(page, "rendering")
    stage = page.locator("#status .stage").bounding_box()
    assert stage
    for part in ("#likeness .reference img", "#likeness .caption"):
        expect(page.locator(part)).to_be_visible()
        box = page.locator(part).bounding_box()
        assert box
        assert stage["y"] <= box["y"] <= box["y"] + box["height"] <= stage["y"] + stage["height"]
    expect(page.locator("#likeness .caption")).to_have_text(PROMPT)
    for fact in ("Processing", "Paid", "Ticket"):
        expect(page.locator("#status .facts")).to_contain_text(fact)


def test_the_clip_stands_beside_its_portrait_and_a_frame_of_it_can_be_kept(
    simulated: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(simulated)
    start(page)
    expect_state(page, "done")
    expect_playing(page, 1280)
    reference, save = page.locator("#likeness .reference"), page.locator("#likeness .save")
    expect(save).to_be_hidden()
    reference.click()
    expect(reference).to_have_attribute("aria-pressed", "true")
    portrait, clip = reference.bounding_box(), page.locator("#clip").bounding_box()
    assert portrait
    assert clip
    assert abs(portrait["height"] - clip["height"]) < 6
    assert portrait["x"] + portrait["width"] <= clip["x"]
    page.locator("#likeness .stills button").nth(2).click()
    expect(save).to_be_visible()
    with page.expect_download() as download:
        save.click()
    name = download.value.suggested_filename
    assert re.fullmatch(r"s2v-simulated-.*-1\.3\ds\.png", name), name
    with Image.open(BytesIO(Path(str(download.value.path())).read_bytes())) as frame:
        assert frame.size == (1280, 720)
    reference.click()
    expect(reference).to_have_attribute("aria-pressed", "false")


def test_who_asks_for_it_is_told_when_the_clip_is_ready(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.evaluate(
        """() => {
          window.told = [];
          window.Notification = class { constructor(title) { told.push(title) } };
          Notification.requestPermission = async () => "granted";
        }"""
    )
    service.query = [task("Processing")]
    start(page)
    expect_state(page, "rendering")
    bell = page.locator("#status .tell")
    bell.click()
    expect(bell).to_have_text("You will be told")
    service.query = [task("Success", file_id=FILE)]
    expect_state(page, "done")
    page.wait_for_function("window.told.length")
    assert page.evaluate("window.told") == ["Your clip is ready"]
    expect(bell).to_be_hidden()


def test_the_wall_is_reached_by_a_button_or_a_key_and_left_by_escape(
    simulated: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(simulated)
    page.locator("#present").click()
    expect(page.locator("#order")).to_be_hidden()
    page.wait_for_function("document.body.dataset.still === 'true'")
    assert page.evaluate("getComputedStyle(document.querySelector('#status')).cursor") == "none"
    page.keyboard.press("Escape")
    expect(page.locator("#order")).to_be_visible()
    page.locator("#prompt textarea").click()
    page.keyboard.type("Pip")
    expect(page.locator("#order")).to_be_visible()
    page.locator("#status h2").click()
    page.keyboard.press("p")
    expect(page.locator("#order")).to_be_hidden()


def test_an_idle_wall_shows_examples_and_own_clips_and_where_the_page_is(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = context.new_page()
    page.clock.install()
    with served(tmp_path, S2V_HOSTS="studio.example.org", S2V_SIMULATOR_SECONDS="1") as url:
        page.goto(url)
        expect(page.locator("#status h2")).to_have_text("Ready when you are")
        start(page, "The one of one's own.")
        expect_state(page, "done")
        page.evaluate("s2v.present(true)")
        expect(page.locator(".shared")).to_be_hidden()
        page.clock.fast_forward(62_000)
        page.clock.run_for(2_000)
        expect(page.locator(".playing .sentence")).to_be_visible()
        expect(page.locator(".shared img")).to_be_visible()
        expect(page.locator(".shared")).to_contain_text("studio.example.org")
        seen = set()
        for _ in range(5):
            page.clock.fast_forward(13_000)
            page.clock.run_for(2_000)
            own = page.locator("#clip").is_visible() and page.evaluate("document.body.dataset.resting") == "false"
            seen.add("own" if own else page.locator(".playing .sentence").inner_text())
        assert len(seen) == 5
        assert "own" in seen
        page.mouse.move(5, 5)
        page.clock.run_for(2_000)
        expect(page.locator(".shared")).to_be_hidden()
        page.close()


def test_an_ending_on_the_wall_says_what_happened_and_neither_ticket_nor_price(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    service.query = [task("Fail")]
    start(page)
    expect_state(page, "failed")
    page.keyboard.press("p")
    shown = page.locator("#status").inner_text()
    assert "gave up on this clip" in shown
    assert PROMPT not in shown
    for word in ("Ticket", "PTC", "Charged", "s2v_", "queue"):
        assert word not in shown


def test_what_is_wrong_stands_at_its_field(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    start(page, "\u200b")
    expect(page.locator("#prompt .wrong")).to_be_visible()
    say(page, "She smiles.")
    expect(page.locator(".wrong")).to_have_count(0)


def test_what_is_advised_about_an_older_clip_is_done_with_its_own_scene(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    service.query = [task("Fail")]
    start(page, "The older.")
    expect_state(page, "failed")
    service.query = [task("Success", file_id=FILE)]
    say(page, "The newer.")
    click(page)
    expect_state(page, "done")
    older = page.locator(".clips li").nth(1).locator(".open")
    for button in ("Change the scene", "Make it again"):
        older.click()
        expect_state(page, "failed")
        page.get_by_role("button", name=button).click()
        expect(page.locator("#prompt textarea")).to_have_value("The older.")
        if button == "Change the scene":
            expect(page.locator("#prompt textarea")).to_be_focused()
            say(page, "The newer.")
            page.evaluate("s2v.form = ''")
    wait_until(lambda: len(service.calls("submit")) == 3, "it is made again")
    assert [call.json["prompt"] for call in service.calls("submit")] == ["The older.", "The newer.", "The older."]


def test_a_photo_of_a_wrong_shape_is_cropped_by_the_main_button(
    simulated: str, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(simulated)
    Image.new("RGB", (1200, 400), "red").save(tmp_path / "wide.png")
    page.locator("#subject input[type=file]").set_input_files(tmp_path / "wide.png")
    expect(page.locator("#generate")).to_have_accessible_name("Crop to fit")
    click(page)
    expect(page.locator("#preflight")).to_contain_text("cropped")
    expect(page.locator("#generate")).to_have_accessible_name("Write the scene")


def test_a_sample_takes_the_place_of_a_link(simulated: str, open_page: Callable[..., Page]) -> None:
    page = open_page(simulated)
    page.locator("#by-link .label-wrap").click()
    page.locator("#link :is(input, textarea)").fill("https://a.example/b.jpg")
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("Ready")
    expect(page.locator("#by-link .label-wrap.open")).to_have_count(0)
    click(page)
    expect_state(page, "done")


def test_who_leaves_a_job_is_still_told_of_it(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    page.evaluate(
        """() => {
          window.told = [];
          window.Notification = class { constructor(title, { body }) { told.push(title, body) } };
          Notification.requestPermission = async () => "granted";
        }"""
    )
    service.query = [task("Processing")]
    start(page, "It goes on.")
    expect_state(page, "rendering")
    page.locator("#status .tell").click()
    page.locator("#stop").click()
    expect(page.locator("#status h2")).to_have_text("Running in the background")
    service.query = [task("Success", file_id=FILE)]
    page.wait_for_function("window.told.length")
    assert page.evaluate("window.told") == ["Your clip is ready", "It goes on."]


def test_what_plays_can_be_stopped(moving: Callable[..., Page]) -> None:
    page = moving()
    page.wait_for_function(PLAYS)
    page.locator(".playing .pause").click()
    expect(page.locator(".playing .pause")).to_have_text("Play")
    assert page.evaluate("document.querySelector('.playing video').paused")
    page.locator(".playing .pause").click()
    page.wait_for_function(PLAYS)


def test_on_a_phone_a_pill_opens_a_sheet_with_who_makes_the_clip(live: str, open_page: Callable[..., Page]) -> None:
    page = open_page(live, PHONE)
    pill, sheet = page.locator(".pill"), page.locator("#makers")
    expect(pill).to_contain_text("left today")
    expect(sheet).to_be_hidden()
    pill.click()
    expect(sheet).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(pill).to_be_focused()
    pill.click()
    page.locator("#service label", has_text="Simulator").click()
    page.locator("#own-key .label-wrap").click()
    expect(page.locator("#take")).to_be_in_viewport()
    heights = page.locator("#makers :is(button, label:has(input[type=radio]), #key input)").evaluate_all(
        "all => all.filter((each) => each.checkVisibility()).map((each) => each.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44
    page.get_by_label("Close").click()
    expect(sheet).to_be_hidden()
    expect(pill).to_have_text("Simulator · free")
    pill.click()
    expect(sheet).to_be_visible()
    page.get_by_label("Close").click()
    page.set_viewport_size(WIDE)
    expect(page.locator("#service")).to_be_visible()
    expect(pill).to_be_hidden()


def test_the_faces_of_a_clip_stand_beside_that_of_its_portrait_and_lead_into_it(
    live: str, service: Service, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    # Nobody is there in the second half.
    with_faces(tmp_path / "clip.mp4", lambda number: number < 26)
    service.file = [Answer((tmp_path / "clip.mp4").read_bytes(), headers={"Content-Type": "video/mp4"})]
    page = open_page(live)
    start(page, "She leaves.")
    expect_state(page, "done")
    faces = page.locator("#likeness .stills button")
    expect(faces).to_have_count(12)
    expect(page.locator("#likeness .said")).to_have_text(
        "A face was found in 13 of 25 frames. Whether it is the same person is for you to judge."
    )
    assert faces.evaluate_all("faces => faces.map((face) => face.ariaLabel.split(' at')[0])") == [
        *["Face"] * 6, *["No face"] * 6
    ]  # fmt: skip
    assert faces.last.evaluate("face => getComputedStyle(face).borderStyle") == "dashed"
    faces.nth(4).click()
    second = float(str(faces.nth(4).get_attribute("aria-label")).split()[-2])
    page.wait_for_function("!document.querySelector('#clip video').seeking")
    assert page.evaluate("document.querySelector('#clip video').currentTime") == pytest.approx(second, abs=0.05)
    assert page.evaluate("document.querySelector('#clip video').paused")
    reference = page.locator("#likeness .reference")
    assert reference.locator("img").evaluate("image => getComputedStyle(image).opacity") == "0"
    reference.click()
    # Large it is the portrait, and not its face alone.
    assert reference.locator("img").evaluate("image => getComputedStyle(image).opacity") == "1"


def test_a_clip_says_that_it_is_generated_and_keeps_its_scene_if_that_is_wanted(
    live: str, service: Service, open_page: Callable[..., Page], clip: bytes, tmp_path: Path
) -> None:
    page = open_page(live)
    label = page.locator("#likeness .generated")
    expect(label).to_be_hidden()
    start(page, "She nods.")
    expect_state(page, "done")
    expect(label).to_be_visible()
    expect(label).to_have_text("AI GENERATED")
    box, stage = label.bounding_box(), page.locator("#status .stage").bounding_box()
    assert box
    assert stage
    assert (stage["x"] + stage["width"] - box["x"] - box["width"], box["y"] - stage["y"]) == pytest.approx(
        (16, 16), abs=1
    )
    kept = page.locator("#keep-scene input")
    expect(kept).not_to_be_checked()
    plain = saved(page, tmp_path / "plain.mp4")
    assert plain.fields[marks.SOURCE_TYPE] == marks.TRAINED
    assert marks.SCENE not in plain.fields
    with page.expect_response("**/run/predict*"):
        kept.check()
    told = saved(page, tmp_path / "told.mp4")
    assert (told.fields[marks.SCENE], told.fields[marks.OPTIMIZER]) == ("She nods.", "True")
    for name in ("plain.mp4", "told.mp4"):
        assert marks.without(tmp_path / name) == clip
        assert b"s2v_" not in (tmp_path / name).read_bytes()
    page.keyboard.press("p")
    expect(label).to_be_visible()
    expect(kept).to_be_hidden()


def saved(page: Page, path: Path) -> marks.Marks:
    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(path)
    return marks.read(path)


def test_a_simulated_clip_says_nothing_of_a_model(
    simulated: str, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(simulated)
    start(page, "She nods.")
    expect_state(page, "done")
    expect(page.locator("#download")).to_be_visible()
    expect(page.locator("#likeness .generated")).to_be_hidden()
    assert saved(page, tmp_path / "clip.mp4").fields[marks.TOOL] == "S2V Studio simulator"


def test_a_signed_clip_is_served_as_it_came_and_says_so(
    live: str, service: Service, open_page: Callable[..., Page], clip: bytes, tmp_path: Path
) -> None:
    signed = clip + (28).to_bytes(4) + b"uuid" + marks.C2PA + b"sign"
    service.file = [Answer(signed, headers={"Content-Type": "video/mp4"})]
    page = open_page(live)
    start(page, "She nods.")
    expect_state(page, "done")
    expect(page.locator("#status .facts")).to_contain_text("served as it came")
    with page.expect_response("**/run/predict*"):
        page.locator("#keep-scene input").check()
    assert saved(page, tmp_path / "clip.mp4").c2pa
    assert (tmp_path / "clip.mp4").read_bytes() == signed
