"""The page in a browser, as a person uses it; the screen is what is read."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from ..support.clips import describe
from ..support.forks import ROOT
from ..support.lines import late_line
from ..support.pages import PHONE, WIDE, click, expect_playing, expect_state, heard, say, served, start, upload
from ..support.photos import ASSETS, PORTRAIT
from ..support.service import FILE, PROMPT, TASK, Answer, Service, code, task

# Whether pictures stood beside the clip, each time that something of this changed.
WITH_PICTURES = """() => {
  const card = document.querySelector('#status .card'), likeness = document.querySelector('#likeness [data-shown]');
  const note = () => window.beside.push(`${card.dataset.state} ${Boolean(likeness.querySelector(".stills button"))}`);
  window.beside = [];
  const all = {attributes: true, childList: true, subtree: true};
  for (const each of [card, likeness]) new MutationObserver(note).observe(each, all);
}"""


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


def test_a_sample_becomes_a_clip_with_its_stages_on_the_way(
    simulated: str, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page(simulated)
    expect(page.locator("#service")).to_contain_text("Simulator")
    expect(page.locator("#generate")).to_contain_text("free")
    page.locator(".sample").first.click()
    expect(page.locator("#subject img")).to_be_visible()
    assert "the night sky" in page.locator("#prompt textarea").input_value()
    page.evaluate(WITH_PICTURES)
    click(page)
    expect(page.locator("#generate")).to_be_disabled()
    expect_state(page, "done")
    expect_playing(page, 1280)
    seen = page.evaluate("window.seen")
    shown = " | ".join(" ".join(row[1:]) for row in seen)
    # What lasts only a moment may pass between two looks.
    places = [shown.index(word) for word in ("Preparing", "Rendering", "Your clip is ready")]
    assert places == sorted(places)
    states = list(dict.fromkeys(state for state, _, _ in seen))
    assert states[0] == "queued"
    assert states[-3:] == ["rendering", "fetching", "done"] or states[-2:] == ["rendering", "done"]
    expect(page.locator("#status .card")).to_have_attribute("data-charge", "none")
    expect(page.locator("#generate")).to_be_enabled()
    for fact in ("1280 × 720 · 6.0 s", "Simulator", "free"):
        expect(page.locator("#status .facts")).to_contain_text(fact)
    expect(page.locator("#likeness .stills button")).to_have_count(12)
    assert list(dict.fromkeys(page.evaluate("window.beside")))[-2:] == ["done false", "done true"]
    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(tmp_path / "clip.mp4")
    assert download.value.suggested_filename == "s2v-simulated-she-looks-up-at-the-night.mp4"
    assert describe(tmp_path / "clip.mp4").frames == 150


def test_an_own_portrait_and_an_own_sentence_become_a_clip_on_a_phone(
    simulated: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(simulated, PHONE)
    upload(page, ASSETS / "portraits" / "sailor.jpg")
    say(page, PROMPT)
    click(page)
    expect_state(page, "done")
    expect_playing(page, 1280)
    card, clip = page.locator("#status h2").bounding_box(), page.locator("#clip video").bounding_box()
    assert card
    assert clip
    assert card["y"] < clip["y"], "the status is above the clip"
    assert abs(clip["width"] / clip["height"] - 16 / 9) < 0.02
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.long
def test_two_tabs_of_one_person_each_end_at_their_clip(simulated: str, open_page: Callable[..., Page]) -> None:
    pages = [open_page(simulated) for _ in range(2)]
    for number, page in enumerate(pages):
        page.locator(".sample").nth(number).click()
        expect(page.locator("#subject img")).to_be_visible()
        click(page)
    for page in pages:
        expect_state(page, "done")
        page.bring_to_front()
        expect_playing(page, 1280)


@pytest.mark.long
def test_a_click_that_meets_the_end_of_a_stream_is_not_lost(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    with served(tmp_path) as near, late_line(near, b'"close_stream"', 0.8) as url:
        for pause in (0, 200, 400, 600):
            page = open_page(url)
            page.wait_for_timeout(pause)
            page.locator(".sample").first.click()
            expect(page.locator("#preflight")).to_contain_text("✓ Ready")
            page.close()


@pytest.mark.long
def test_what_is_older_than_the_page_changes_neither_the_card_nor_the_clips(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    program = """
import app, gradio as gr
with app.demo:
    older = [app.cards.card("refused", "Older", at=1.0), {"clips": [], "at": 1.0}, "It came."]
    outputs = [app.result.status, app.history, app.order.prompt]
    gr.Button("Older", elem_id="older").click(lambda: older, None, outputs)
app.run()
"""
    with served(tmp_path, program=("-c", program)) as url:
        page = open_page(url)
        start(page)
        expect_state(page, "done")
        page.locator("#older").click()
        expect(page.locator("#prompt textarea")).to_have_value("It came.")
        expect_state(page, "done")
        expect(page.locator(".clips li")).to_have_count(1)


def test_wrong_input_gets_its_sentence_sends_nothing_and_stays(
    live: str, service: Service, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    text, small = tmp_path / "text.png", tmp_path / "small.png"
    text.write_text("I am a text.")
    Image.new("RGB", (200, 300), "red").save(small)
    page = open_page(live)
    page.locator("#consent input").check()
    say(page, PROMPT)
    button = page.locator("#generate")
    for photo, says in ((text, "The file is not a picture"), (small, "its short side must be over 300 px")):
        page.locator("#subject input[type=file]").set_input_files(photo)
        expect(page.locator("#preflight")).to_contain_text(says)
        expect(button).to_have_accessible_name("Choose another portrait")
        click(page)
        expect(page.locator("#subject img")).to_have_count(0)
    page.locator("#subject input[type=file]").set_input_files(PORTRAIT)
    expect(page.locator("#preflight")).to_contain_text("Ready")
    say(page, "x" * 2001)
    expect(button).to_have_accessible_name("Shorten the scene")
    click(page)
    expect(page.locator("#prompt textarea")).to_be_focused()
    # Nothing is there to be seen.
    say(page, "\u200b")
    click(page)
    expect(page.locator("#status .ending")).to_contain_text("The prompt is empty")
    expect(page.locator("#status .ending")).to_contain_text("Nothing was charged.")
    expect(page.locator("#status .card")).to_have_attribute("data-state", "refused")
    expect(page.locator("#status .card")).to_have_attribute("data-charge", "none")
    assert page.locator("#prompt textarea").input_value() == "\u200b"
    expect(button).to_be_enabled()
    assert service.requests == []


def test_the_live_service_is_named_priced_and_asks_for_consent(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    host = urlsplit(service.base_url).netloc
    expect(page.locator("#generate")).to_contain_text(f"priced by {host}")
    # With the words that 302.AI gets, which take less room than a loopback host and its port.
    page.locator("#generate").evaluate("button => button.textContent = 'Make the clip · 0.7 PTC'")
    button = page.locator("#generate").bounding_box()
    assert button
    assert button["y"] + button["height"] <= 900
    page.reload()
    expect(page.locator("#status h2")).to_have_text("Ready when you are")
    button = page.locator("#generate")
    expect(button).to_have_accessible_name("Choose a portrait")
    with page.expect_file_chooser() as chooser:
        button.click()
    chooser.value.set_files(PORTRAIT)
    expect(button).to_have_accessible_name("Write the scene")
    button.click()
    expect(page.locator("#prompt textarea")).to_be_focused()
    page.keyboard.type(PROMPT)
    expect(button).to_have_accessible_name("Confirm that you may use this face")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#consent input")).to_be_focused()
    assert service.requests == []
    page.locator("#consent input").check()
    last = service.query[-1]
    for number, status in enumerate(("Preparing", "Queueing", "Processing")):
        service.query = [task(status)]
        if number == 0:
            click(page)
        expect(page.locator("#status .facts")).to_contain_text(status)
    service.query = [last]
    expect_state(page, "done")
    expect(page.locator("#status .card")).to_have_attribute("data-charge", "spent")
    expect(page.locator("#status .facts")).to_contain_text(TASK)
    assert len(service.calls("submit")) == 1
    assert service.calls("submit")[0].json["prompt_optimizer"] is True


def test_the_simulator_can_be_chosen_and_the_button_says_so(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.locator("#service label", has_text="Simulator").click()
    expect(page.locator("#generate")).to_contain_text("free")
    expect(page.locator("#consent")).to_be_hidden()
    page.locator(".sample").nth(1).click()
    expect(page.locator("#subject img")).to_be_visible()
    click(page)
    expect_state(page, "rendering")
    assert service.requests == []


def test_each_ending_tells_what_happened_the_charge_the_ticket_and_what_to_do(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    upload(page, PORTRAIT)
    say(page, PROMPT)
    page.locator("#consent input").check()
    ends: list[tuple[dict[str, list[Answer]], str, str, str]] = [
        ({"submit": [code(1026)]}, "refused", "none", "Nothing was charged."),
        ({"submit": [Answer(reset=True)]}, "unknown", "unknown", "may have been charged"),
        ({"query": [task("Fail")]}, "failed", "provider", "decides; it may charge"),
        ({"query": [code(1026, "<img src=x onerror=alert(1)>")]}, "failed", "provider", "<img src=x"),
    ]
    fine = service.submit
    for answers, state, charge, says in ends:
        service.requests, service.submit = [], fine
        for call, given in answers.items():
            setattr(service, call, given)
        click(page)
        ending = page.locator("#status .ending")
        expect(ending).to_contain_text(says)
        assert ending.locator("dt").all_inner_texts() == ["What happened", "Charged?", "Ticket", "What to do"]
        expect(ending.locator(".ticket code")).to_have_text(re.compile("^s2v_[A-Za-z0-9_-]{22}$"))
        expect(page.locator("#status .card")).to_have_attribute("data-state", state)
        expect(page.locator("#status .card")).to_have_attribute("data-charge", charge)
        assert page.locator("#prompt textarea").input_value() == PROMPT
        expect(page.locator("#subject img")).to_be_visible()
        expect(page.locator("#generate")).to_be_enabled()
        assert len(service.calls("submit")) == 1


def test_a_public_link_is_passed_on_unopened(live: str, service: Service, open_page: Callable[..., Page]) -> None:
    page = open_page(live)
    page.get_by_text("or a public link").click()
    expect(page.locator("#order")).to_contain_text("cannot be checked before it costs")
    page.locator("#link textarea, #link input").fill("https://photos.example/face.jpg")
    say(page, PROMPT)
    page.locator("#consent input").check()
    click(page)
    expect_state(page, "done")
    reference = service.calls("submit")[0].json["subject_reference"]
    assert reference == [{"type": "character", "image": ["https://photos.example/face.jpg"]}]


def test_a_fault_that_nobody_foresaw_ends_in_a_card_and_a_live_button(
    simulated: str, simulated_folder: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(simulated)
    page.locator(".sample").first.click()
    expect(page.locator("#preflight")).to_contain_text("✓ Ready", timeout=10_000)
    say(page, "She meets a canary.")
    photos, log = simulated_folder / "photos", simulated_folder / "log"
    photos.rename(simulated_folder / "elsewhere")
    photos.touch()
    before = len(log.read_text())
    click(page)
    expect(page.locator("#status h2")).to_have_text("Something went wrong on this server", timeout=10_000)
    expect(page.locator("#status .ending")).to_contain_text("Nothing was charged.")
    expect(page.locator("#status .card")).to_have_attribute("data-charge", "none")
    expect(page.locator("#generate")).to_be_enabled()
    told = log.read_text()[before:]
    assert re.search(r"Traceback .+in keep.+NotADirectoryError: Not a directory", told, re.DOTALL)
    assert "canary" not in told
    photos.unlink()
    (simulated_folder / "elsewhere").rename(photos)
    page.get_by_role("button", name="Try again").click()
    expect_state(page, "rendering")


def test_a_mistyped_ticket_beside_a_paid_clip_says_nothing_of_its_charge_and_stays(
    live: str, service: Service, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    service.query = [task("Processing")]
    start(page)
    expect_state(page, "rendering")
    ticket = page.locator("#status .card").get_attribute("data-ticket")
    page.locator("#recovery .label-wrap").click()
    page.locator("#ticket textarea, #ticket input").fill("s2v_mistyped")
    page.locator("#recover").click()
    expect(page.locator("#ticket-says")).to_contain_text("There is no such ticket here.")
    expect(page.locator("#ticket :is(textarea, input)")).to_have_value("s2v_mistyped")
    expect_state(page, "rendering")
    service.query = [task("Success", file_id=FILE)]
    expect_state(page, "done")
    expect(page.locator("#status .card")).to_have_attribute("data-ticket", str(ticket))


def test_every_event_of_the_page_can_end_in_a_card_and_a_live_button(simulated: str) -> None:
    config = httpx.get(simulated + "config", trust_env=False).json()
    names = {each["props"].get("elem_id"): each["id"] for each in config["components"]}
    events = [each for each in config["dependencies"] if each["backend_fn"] and each["api_visibility"] == "private"]
    assert len(events) > 15
    for event in events:
        assert {names["status"], names["generate"]} <= set(event["outputs"]), event["api_name"]


def test_an_emptied_temporary_folder_takes_no_picture_from_the_page(
    simulated: str, simulated_folder: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(simulated)
    shutil.rmtree(simulated_folder / "gradio")
    page.reload()
    expect(page.locator("#status h2")).not_to_have_text("", timeout=20_000)
    shown = "() => [...document.querySelectorAll('.sample img')].filter((image) => image.naturalWidth > 0).length === 4"
    page.wait_for_function(shown)
    page.locator(".sample").nth(2).click()
    expect(page.locator("#preflight")).to_contain_text("✓ Ready", timeout=10_000)
    page.wait_for_function("document.querySelector('#subject img')?.naturalWidth > 300")
    page.get_by_label("Remove").click()
    shutil.rmtree(simulated_folder / "gradio")
    upload(page, PORTRAIT)
    expect(page.locator("#preflight")).to_contain_text("✓ Ready 512 × 512 px", timeout=10_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_first_screen_fits(theme: str, simulated: str, open_page: Callable[..., Page]) -> None:
    page = open_page(simulated, WIDE, theme)
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    for viewport in (WIDE, PHONE):
        page.set_viewport_size(viewport)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_what_the_page_loads_first_is_what_it_asks_for_at_once(simulated: str, open_page: Callable[..., Page]) -> None:
    page = open_page(simulated)
    expect(page.locator(".sample img").last).to_be_visible()
    loaded = page.evaluate("performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)")
    names = {Path(path).name for path in loaded if path.startswith("/assets/")}
    # With a new version of Gradio they have new names: these are what stands in the file then.
    assert {name for name in names if not name.startswith("page-")} == set((ASSETS / "early.txt").read_text().split())


def test_a_wrong_setting_ends_the_start_with_its_sentence() -> None:
    environment = os.environ | {"S2V_API_KEY": "sk canary"}
    run = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr == "S2V_API_KEY: a key is one line of printable ASCII without spaces.\n"


def post(http: httpx.Client, call: str, body: str) -> str:
    """What one of the three calls answers."""
    answer = http.post(f"gradio_api/call/{call}", content=body, headers={"Content-Type": "application/json"})
    return http.get(f"gradio_api/call/{call}/{answer.json()['event_id']}").text if answer.is_success else answer.text


def test_a_forged_request_opens_no_file_of_this_machine(simulated: str) -> None:
    with httpx.Client(base_url=simulated, trust_env=False, timeout=60) as http:
        dependencies = http.get("config").json()["dependencies"]
        number = next(each["id"] for each in dependencies if each["api_name"] == "make_clip")
        for path in ("/etc/passwd", str(ROOT / "README.md"), str(PORTRAIT / ".." / ".." / ".." / "LICENSE")):
            photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
            data = [photo, "", PROMPT, True, True, "simulator", None, [], None]
            asked = {"data": data, "fn_index": number, "session_hash": path}
            answer = http.post("gradio_api/queue/join", json=asked)
            events = heard(http, path) if answer.is_success else answer
            assert "rendering" not in events.text
            assert "The photo is not an upload" in events.text


def test_a_program_that_sends_something_else_gets_a_sentence(simulated: str) -> None:
    no_upload, no_text = "The photo is not an upload", "must be text."
    meta = {"_type": "gradio.FileData"}
    photos = [
        "https://photos.example/a.jpg", "/etc/passwd", ["a.jpg"], 7, {"url": "https://photos.example/a.jpg"},
        {"path": "https://photos.example/a.jpg", "meta": meta}, {"path": "/etc/passwd", "meta": meta}, {"path": 7},
    ]  # fmt: skip
    asked = [(json.dumps([photo, PROMPT]), no_upload) for photo in photos]
    asked += [(json.dumps([None, prompt]), no_text) for prompt in (7, ["She smiles."])]
    asked += [("[]", "There is no portrait yet"), (json.dumps([None, PROMPT, True, 7]), no_text)]
    asked += [("[" * 900 + "]" * 900, no_upload), ("[" * 9000 + "]" * 9000, "There was an error parsing the body")]
    with httpx.Client(base_url=simulated, trust_env=False, timeout=20) as http:
        for data, says in asked:
            assert says in post(http, "submit", f'{{"data": {data}}}'), data[:80]
        for ticket in (7, ["s2v_x"], {"path": "https://photos.example/a.jpg", "meta": meta}):
            assert re.search(f"{no_upload}|{no_text}", post(http, "status", json.dumps({"data": [ticket]})))
