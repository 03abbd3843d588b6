"""What the page shows a person before, during and after: looked over, told, compared, found again, presented."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image, ImageFilter
from playwright.sync_api import Page, expect

from ..support.pages import PHONE, RECORD, WIDE, click, expect_playing, expect_state, say, start, upload
from ..support.photos import PORTRAIT
from ..support.service import FILE, KEY, PROMPT, Answer, Service, code, gateway, task

pytestmark = pytest.mark.long

OWN = "sk-visitor-51c0ffee"


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


def phone_photo(path: Path) -> Path:
    """As a phone writes it: lying on its side, with the place where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Canary Phones"
    exif.get_ifd(0x8825)[1] = "N"
    with Image.open(PORTRAIT) as image:
        image.convert("RGB").resize((1200, 900)).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    return path


def test_what_is_said_of_a_photo_can_be_mended_by_a_click(
    live: str, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page, file = open_page(live), tmp_path / "aside.jpg"
    with Image.open(PORTRAIT) as image:
        # On its side, and with the person far away.
        far = Image.new("RGB", (2048, 1500), (120, 140, 160))
        far.paste(image.convert("RGB").resize((420, 420)), (900, 500))
        far.rotate(90, expand=True).save(file)
    upload(page, file)
    said = page.locator("#preflight")
    expect(said).to_contain_text("Usable, but check 1500 × 2048 px")
    expect(said.locator(".warnings")).to_contain_text("The photo lies on its side: turn it.")
    expect(page.locator("#face")).to_be_hidden()
    page.locator("#turn").click()
    expect(said).to_contain_text("Usable, but check 2048 × 1500 px")
    expect(page.locator("#turn")).to_be_hidden()
    expect(said.locator(".warnings")).to_contain_text("The face is small")
    page.locator("#face").click()
    expect(said).to_contain_text("301 × 301 px")
    expect(page.locator("#turn")).to_be_hidden()
    expect(said).to_contain_text("turned · cropped to the face")
    expect(page.locator("#face")).to_be_hidden()
    page.wait_for_function("document.querySelector('#subject img')?.naturalWidth === 301")


def test_a_phone_photo_is_looked_over_turned_upright_and_becomes_a_clip(
    live: str, service: Service, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(live)
    upload(page, phone_photo(tmp_path / "phone.jpg"))
    said = page.locator("#preflight")
    expect(said).to_contain_text("✓ Ready 1200 × 900 px")
    expect(said).to_contain_text("turned upright")
    expect(said).to_contain_text("location and camera data removed")
    expect(said).to_contain_text("A face was found.")
    expect(said).to_contain_text("is for the service to say.")
    page.wait_for_function("document.querySelector('#subject img')?.naturalWidth === 1200")
    shown = page.request.get(page.locator("#subject img").get_attribute("src") or "").body()
    assert b"Canary" not in shown
    with Image.open(BytesIO(shown)) as image:
        assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (1200, 900), {})
    say(page, PROMPT)
    page.locator("#consent input").check()
    click(page)
    expect_state(page, "done")
    expect_playing(page, 64)


def test_a_photo_that_is_too_wide_is_cropped_where_a_person_asks_for_it(
    live: str, service: Service, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    with Image.open(PORTRAIT) as image:
        image.convert("RGB").resize((1600, 400)).save(tmp_path / "wide.png")
    page = open_page(live)
    page.locator("#subject input[type=file]").set_input_files(tmp_path / "wide.png")
    expect(page.locator("#preflight")).to_contain_text("it must be between 2:5 and 5:2")
    page.locator("#crop").click()
    expect(page.locator("#preflight")).to_contain_text("1000 × 400 px")
    expect(page.locator("#preflight")).to_contain_text("cropped to fit")
    expect(page.locator("#crop")).to_be_hidden()


def test_a_portrait_that_is_taken_away_is_gone_and_another_can_be_chosen(
    live: str, service: Service, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(live)
    for choose in (
        lambda: page.locator(".sample").first.click(),
        lambda: upload(page, phone_photo(tmp_path / "a.jpg")),
    ):
        choose()
        expect(page.locator("#preflight")).to_contain_text("✓ Ready")
        page.get_by_label("Remove").click()
        # An answer that was under way could bring it back.
        page.wait_for_timeout(700)
        expect(page.locator("#subject img")).to_have_count(0)
        expect(page.locator("#preflight .verdict")).to_have_text("")
        expect(page.locator(".sample").first).to_be_visible()


def test_a_blurred_photo_is_told_before_money_is_spent_and_can_be_sent(
    live: str, service: Service, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    with Image.open(PORTRAIT) as image:
        image.convert("RGB").filter(ImageFilter.GaussianBlur(12)).save(tmp_path / "soft.png")
    page = open_page(live)
    upload(page, tmp_path / "soft.png")
    expect(page.locator("#preflight .warnings")).to_contain_text("Blurred")
    expect(page.locator("#preflight .verdict")).to_contain_text("Usable, but check")
    assert service.requests == []


def test_words_are_counted_as_they_are_typed_in_any_language(live: str, open_page: Callable[..., Page]) -> None:
    page = open_page(live)

    def count(text: str) -> str:
        box = page.locator("#prompt")
        before = str(box.get_attribute("data-count"))
        say(page, text)
        expect(box).not_to_have_attribute("data-count", before)
        return str(box.get_attribute("data-count"))

    assert count("She smiles.") == "2 words"
    assert count("She") == "1 word"
    # Their readers count characters.
    assert count("她在雨中微笑着走路。") == "9 words"
    assert count("彼女は本から顔を上げて、 smiles.") == "12 words"
    assert count("word " * 201) == "201 words, under 200 is advised"
    assert count("x" * 1990) == "1990 of 2000 characters"
    assert count("x" * 2001) == "2001 of 2000 characters"
    assert page.locator("#prompt").get_attribute("data-long") == "stop"
    say(page, "She sings.")
    page.locator(".idea", has_text="golden hour").click()
    expect(page.locator("#prompt textarea")).to_have_value("She sings, golden hour.")


@pytest.mark.parametrize("stage", ["sending", "rendering", "fetching"])
def test_a_reload_finds_the_job_in_the_stage_where_it_is(
    stage: str, live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    slow = {"sending": "submit", "rendering": "query", "fetching": "file"}[stage]
    service.query = [task("Processing")] if stage == "rendering" else [task("Success", file_id=FILE)]
    answer = getattr(service, slow)[0]
    answer.stall = 0.0 if stage == "rendering" else 30.0
    page = open_page(live)
    start(page, f"She is {stage}.")
    expect_state(page, stage)
    expect(page.locator(".clips li b").first).to_have_text(stage)
    begun = page.locator("#status .clock").inner_text()
    expect(page.locator("#status .clock")).not_to_have_text(begun)
    page.reload()
    expect_state(page, stage)
    assert page.locator("#status .clock").inner_text() > begun
    assert page.title() != "S2V Studio"
    answer.stall, service.query = 0.0, [task("Success", file_id=FILE)]
    expect_state(page, "done")
    expect(page.locator(".clips li b")).to_have_count(0)
    assert page.title() == "✓ Ready · S2V Studio"
    assert len(service.calls("submit")) == 1


def test_a_clip_stands_beside_its_reference_with_how_it_was_made_and_can_be_used_again(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.locator(".sample").nth(1).click()
    expect(page.locator("#preflight")).to_contain_text("Ready")
    page.locator("#optimizer input").uncheck()
    page.locator("#consent input").check()
    click(page)
    expect_state(page, "done")
    expect(page.locator("#likeness .stills button")).to_have_count(5)
    assert page.locator("#likeness .reference img").evaluate("image => image.naturalWidth") > 100
    # Nothing goes round and round for who asked that nothing moves, as this browser does.
    video = page.locator("#clip video")
    expect_playing(page, 64)
    expect(video).to_have_js_property("loop", False)
    # Nor when Gradio says it once more.
    video.evaluate("video => (video.loop = true)")
    expect(video).to_have_js_property("loop", False)
    for fact in ("task", urlsplit(service.base_url).netloc, "rendered in 0:0", "taken literally", "s2v_"):
        expect(page.locator("#status .facts")).to_contain_text(fact, ignore_case=True)
    page.reload()
    expect_state(page, "done")
    expect(page.locator("#subject img")).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("from a computer"))
    page.locator("#subject").get_by_label("Remove the portrait").click()
    say(page, "Something else.")
    page.locator("#optimizer input").check()
    page.locator("#again").click()
    expect(page.locator("#subject img")).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("from a computer"))
    expect(page.locator("#optimizer input")).not_to_be_checked()
    service.query = [task("Processing")]
    page.locator("#consent input").check()
    click(page)
    expect_state(page, "rendering")


def test_the_clips_of_a_browser_are_opened_and_deleted_by_their_cards(
    live: str, service: Service, live_folder: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    for prompt in ("The first canary.", "The second canary."):
        start(page, prompt) if prompt.startswith("The first") else (say(page, prompt), click(page))
        expect_state(page, "done")
        expect(page.locator(".clips li").first).to_contain_text(prompt)
    cards = page.locator(".clips li")
    expect(cards).to_have_count(2)
    assert "data:image/jpeg" in str(cards.first.locator(".poster").get_attribute("style"))
    page.reload()
    expect(cards).to_have_count(2)
    first = cards.nth(1).get_attribute("data-ticket")
    cards.nth(1).locator(".open").click()
    expect(page.locator("#status .ticket code")).to_have_attribute("title", str(first))
    expect_playing(page, 64)
    # They are made when they are first asked for.
    expect(page.locator("#likeness .stills button")).to_have_count(5)
    files = {path for path in live_folder.rglob("*") if path.suffix in {".mp4", ".jpg"}}
    cards.nth(1).locator(".remove").click()
    expect(cards).to_have_count(2)
    cards.nth(1).get_by_text("Delete for good?").click()
    expect(cards).to_have_count(1)
    expect(page.locator("#status .ending")).to_contain_text("The clip was deleted here.")
    expect(page.locator("#clip video")).to_have_count(0)
    gone = files - set(live_folder.rglob("*"))
    # The photo, large and small, clip, poster, frames and faces, and the copy that was served.
    assert sorted(path.suffix for path in gone) == [*[".jpg"] * 5, ".mp4", ".mp4"]
    page.reload()
    expect(cards).to_have_count(1)
    for _ in range(2):
        page.locator("#delete").click()
    expect(cards).to_have_count(0)


def test_another_clip_can_be_opened_while_one_renders_and_stays_open(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    start(page, "The one that is done.")
    expect_state(page, "done")
    service.query = [task("Processing")]
    say(page, "The one that renders.")
    click(page)
    expect_state(page, "rendering")
    cards = page.locator(".clips li")
    expect(cards).to_have_count(2)
    for number, state in ((1, "done"), (0, "rendering"), (1, "done"), (0, "rendering"), (1, "done")):
        cards.nth(number).locator(".open").click()
        expect_state(page, state)
    stays(page)
    cards.nth(0).locator(".open").click()
    expect_state(page, "rendering")
    page.locator("#stop").click()
    expect(page.locator("#status h2")).to_have_text("Running in the background")
    stays(page)


def stays(page: Page) -> None:
    """A watch that has ended says nothing more."""
    page.evaluate(RECORD)
    # Longer than a watch takes from one word to the next.
    page.wait_for_timeout(1500)
    assert page.evaluate("window.seen") == []


@pytest.mark.parametrize("size", [WIDE, {"width": 768, "height": 1024}, PHONE], ids=["wide", "tablet", "phone"])
def test_the_key_is_asked_for_on_the_screen_and_left_by_escape_or_a_click_elsewhere(
    size: dict[str, int], live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live, size)
    label, take = page.locator("#own-key .label-wrap"), page.locator("#take")
    before = page.locator("#columns").bounding_box()
    for leave in (lambda: page.keyboard.press("Escape"), lambda: page.locator("#brand h1").click()):
        if size["width"] <= 820:
            page.locator(".pill").click()
        label.click()
        expect(take).to_be_in_viewport(ratio=1)
        box = page.locator("#key").bounding_box()
        assert box
        assert box["x"] >= 0
        assert page.locator("#columns").bounding_box() == before
        leave()
        expect(take).to_be_hidden()


def test_the_camera_takes_a_portrait(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    page.context.grant_permissions(["camera"])
    page.get_by_label("Capture from camera").click()
    page.get_by_title("grant webcam access").locator("button").click()
    # Who takes a photo sees the picture first.
    page.wait_for_function("document.querySelector('#subject video')?.videoWidth > 0")
    page.get_by_label("capture photo").click()
    expect(page.locator("#preflight strong")).to_be_visible()
    expect(page.locator("#subject img")).to_be_visible()


def test_a_photo_dropped_or_pasted_anywhere_on_the_page_is_the_portrait(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    bring = """([kind, where, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "me.jpg", {type: "image/jpeg"}));
      const about = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
      const event = kind === "drop" ? new DragEvent(kind, about) : new ClipboardEvent(kind, about);
      return document.querySelector(where).dispatchEvent(event);
    }"""
    for kind, where, size in (("drop", "#status", 400), ("paste", "body", 500), ("drop", "#prompt", 600)):
        photo = BytesIO()
        Image.new("RGB", (size, size), "olive").save(photo, "JPEG")
        assert page.evaluate(bring, [kind, where, list(photo.getvalue())]) is False, "the browser would open the file"
        expect(page.locator("#preflight")).to_contain_text(f"{size} × {size} px")
        expect(page.locator("#subject img")).to_have_count(1)


def test_what_is_dropped_or_pasted_beside_a_photo_leaves_the_portrait(
    live: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("Ready")
    shown = page.locator("#subject img").get_attribute("src")
    give = """([kind, selector, name, type, text]) => {
        const data = new DataTransfer(), target = document.querySelector(selector);
        data.items.add(new File(["words"], name, { type }));
        if (text) data.setData("text/plain", text);
        const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
        target.dispatchEvent(event);
        return event.defaultPrevented;
    }"""
    # Word pastes its text as a picture, too; a file that is no photo does not open in place of the page.
    assert not page.evaluate(give, ["paste", "#prompt textarea", "word.png", "image/png", "Two words"])
    assert page.evaluate(give, ["drop", "#status", "letter.pdf", "application/pdf", ""])
    assert page.locator("#subject img").get_attribute("src") == shown


def test_the_way_to_a_file_leads_back_from_the_camera_and_the_clipboard(
    live: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.context.grant_permissions(["clipboard-read"])
    page.locator("#subject [aria-label='Paste from clipboard']").click()
    expect(page.locator("#subject input[type=file]")).to_have_count(0)
    with page.expect_file_chooser() as chooser:
        page.locator("#generate").click()
    chooser.value.set_files(PORTRAIT)
    expect(page.locator("#preflight")).to_contain_text("Ready")


def test_an_own_key_is_taken_into_memory_pays_and_is_forgotten(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.locator("#own-key .label-wrap").click()
    box = page.locator("#key input")
    box.fill("not a key")
    page.locator("#take").click()
    expect(page.locator("#says")).to_contain_text("This cannot be a key")
    expect(box).to_have_value("")
    box.fill(OWN)
    page.locator("#take").click()
    expect(page.locator("#own-key .label-wrap")).to_contain_text("sk-…ffee")
    expect(page.locator("#service")).to_contain_text("your key sk-…ffee")
    start(page, "She pays herself.")
    expect_state(page, "done")
    assert [call.headers["authorization"] for call in service.calls("submit")] == [f"Bearer {OWN}"]
    stored = page.evaluate("JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage}) + document.cookie")
    assert OWN not in stored + page.content() + page.request.get(live + "config").text()
    page.locator("#own-key .label-wrap").click()
    expect(page.locator("#key input")).to_have_value("")
    page.locator("#forget").click()
    expect(page.locator("#own-key .label-wrap")).to_contain_text("Use your key")
    expect(page.locator("#service")).not_to_contain_text("your key")
    say(page, "The owner pays.")
    click(page)
    expect(page.locator(".clips li").first).to_contain_text("The owner pays.")
    expect_state(page, "done")
    assert service.calls("submit")[-1].headers["authorization"] == f"Bearer {KEY}"


def test_a_key_that_is_not_accepted_gets_three_steps(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    answers = (gateway(-10001, 401), gateway(-10005, 401), code(1004), code(2049), Answer(b"", 401))
    for number, answer in enumerate(answers):
        service.submit = [answer]
        start(page) if number == 0 else click(page)
        expect(page.locator(".clips li")).to_have_count(number + 1)
        expect_state(page, "refused")
        expect(page.locator("#status .ending")).to_contain_text("does not accept this key")
        expect(page.locator("#status .ending ol li")).to_have_count(3)
        expect(page.locator("#status .ending")).to_contain_text("Nothing was charged.")
    page.locator("#status .actions").get_by_text("Use your key").click()
    expect(page.locator("#key input")).to_be_visible()


def test_the_buttons_of_an_ending_do_what_they_say(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    fine, service.submit = service.submit, [Answer(reset=True)]
    start(page)
    expect_state(page, "unknown")
    service.submit = fine
    page.get_by_role("button", name="Make it again; may cost more").click()
    expect_state(page, "done")
    assert len(service.calls("submit")) == 2
    say(page, "")
    click(page)
    page.get_by_role("button", name="Write the scene").click()
    expect(page.locator("#prompt textarea")).to_be_focused()


def test_the_presenter_view_shows_the_clip_the_portrait_and_the_sentence_alone(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live, WIDE)
    service.query = [task("Processing")]
    start(page)
    expect_state(page, "rendering")
    page.goto(live + "?present=1")
    expect(page.locator("#status h2")).to_have_text("Rendering")
    for part in ("#order", "#header", "#history", "#own-key", "#stop"):
        expect(page.locator(part)).to_be_hidden()
    big = "node => parseFloat(getComputedStyle(node).fontSize)"
    assert page.locator("#likeness .caption").evaluate(big) >= 46
    assert page.locator("#status .clock").evaluate(big) >= 72
    service.query = [task("Success", file_id=FILE)]
    expect_state(page, "done")
    expect(page.locator("#likeness .caption")).to_have_text(PROMPT)
    box = page.locator("#clip video").bounding_box()
    assert box
    assert (box["width"], box["height"]) == (1440, 900)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    around = "node => getComputedStyle(node).backgroundColor"
    assert page.locator("#clip .wrap").first.evaluate(around) == "rgba(0, 0, 0, 0)"
    page.keyboard.press("Escape")
    expect(page.locator("#order")).to_be_visible()
    assert "present" not in page.url
