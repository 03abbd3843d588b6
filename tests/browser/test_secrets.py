"""Keys appear nowhere, visitors do not meet, the caps hold for each of them, and text from outside stays text."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio_client
import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from ..support.pages import PATIENT, click, ended, expect_state, heard, say, served, start
from ..support.photos import PORTRAIT
from ..support.service import FILE, KEY, TASK, Service, code, good

pytestmark = pytest.mark.long

OWN = "sk-visitor-51c0ffee"
# The page with every logger on.
LOUD = """
import logging, runpy
logging.basicConfig(level=logging.DEBUG)
runpy.run_path("app.py", run_name="__main__")
"""
URL_WITH_QUERY = re.compile(r"https?://\S+\?\S")


@pytest.fixture
def service(answers: Service) -> Service:
    return answers


@pytest.fixture(scope="module")
def public_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("public")


@pytest.fixture(scope="module")
def public(service_thread: Service, public_folder: Path) -> Iterator[str]:
    """Behind a proxy, so that each visitor has an address, with a cap for each."""
    environment = {"S2V_API_KEY": KEY, "S2V_BASE_URL": service_thread.base_url, "S2V_TRUSTED_HOPS": "1"}
    with served(public_folder, program=("-c", LOUD), S2V_CLIPS_PER_VISITOR="2", **environment) as url:
        yield url


def visitor(url: str, number: int, **headers: str) -> gradio_client.Client:
    address = {"X-Forwarded-For": f"203.0.113.{number}"}
    return gradio_client.Client(url, verbose=False, headers=address | headers, httpx_kwargs=PATIENT)


def events(http: httpx.Client, name: str, data: list[Any]) -> str:
    """What the page's own event `name` answers."""
    number = next(each["id"] for each in http.get("config").json()["dependencies"] if each["api_name"] == name)
    http.post("gradio_api/queue/join", json={"data": data, "fn_index": number, "session_hash": "canary"})
    return heard(http, "canary").text


def test_a_key_is_in_no_log_file_answer_or_page(
    public: str, service: Service, context: BrowserContext, public_folder: Path
) -> None:
    seen: list[str] = []
    page = context.new_page()
    page.goto(public)
    expect(page.locator("#status h2")).to_have_text("Ready when you are")
    page.locator("#own-key .label-wrap").click()
    page.locator("#key input").fill(OWN)
    page.locator("#take").click()
    expect(page.locator("#own-key .label-wrap")).to_contain_text("sk-…ffee")
    start(page, "She keeps a secret.")
    expect_state(page, "done")
    # A service that repeats the key, in a refusal and while it is asked.
    service.submit = [code(2013, f"invalid: {OWN}")]
    say(page, "She is refused.")
    click(page)
    expect_state(page, "refused")
    service.submit, service.query = [good(task_id=TASK)], [code(1026, f"login fail: {KEY}")]
    page.locator("#service label", has_text="left today").click()
    say(page, "The owner's fails.")
    click(page)
    expect_state(page, "failed")
    stored = page.evaluate("JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage}) + document.cookie")
    seen += [stored, page.content()]
    page.close()
    with httpx.Client(base_url=public, trust_env=False) as http:
        seen += [http.get(path).text for path in ("", "config", "gradio_api/info")]
        seen += [
            events(http, "take_key", [OWN]),
            events(http, "take_key", [OWN + " "]),
            events(http, "key_update", []),
        ]
    log = (public_folder / "log").read_text("utf-8", "replace")
    assert len(log) > 1000
    assert "process_completed" in "".join(seen)
    files = [path for path in public_folder.rglob("*") if path.is_file()]
    assert {"ledger.db", "log"} <= {path.name for path in files}
    for key in (KEY, OWN):
        assert [text for text in seen if key in text] == []
        assert [path for path in files if key.encode() in path.read_bytes()] == []
        assert [path for path in files if key in path.name] == []
    ours = [line for line in log.splitlines() if ":s2v_core" in line or ":httpx:" in line]
    assert ours
    assert [line for line in ours if URL_WITH_QUERY.search(line)] == []
    assert "secret" not in "".join(ours)


def test_twenty_visitors_at_once_meet_nothing_of_each_other(public: str, service: Service, tmp_path: Path) -> None:
    people = range(20)
    clients = [visitor(public, number, **{"X-S2V-Key": f"sk-visitor-{number:04}"}) for number in people]
    for number in people:
        Image.new("RGB", (400, 400), (number * 12, 90, 200 - number * 9)).save(tmp_path / f"canary{number}.png")
    asked = [
        client.submit(
            handle_file(tmp_path / f"canary{number}.png"), f"Canary {number:04}.", consent=True, api_name="/submit"
        )
        for number, client in enumerate(clients)
    ]
    tickets = [job.result()["ticket"] for job in asked]
    assert len(set(tickets)) == 20
    told = [ended(client, ticket) for client, ticket in zip(clients, tickets, strict=True)]
    assert {each["state"] for each in told} == {"done"}
    paid = {
        call.json["prompt"]: (call.headers["authorization"], call.json["subject_reference"][0]["image"][0])
        for call in service.calls("submit")
    }
    assert len(paid) == len({photo for _, photo in paid.values()}) == 20
    assert all(key == f"Bearer sk-visitor-{prompt[7:11]}" for prompt, (key, _) in paid.items())
    for number, each in enumerate(told):
        others = [f"{other:04}" for other in people if other != number]
        assert not [other for other in others if f"Canary {other}" in str(each) or f"visitor-{other}" in str(each)]
    first = tickets[0]
    wrong = [first[:-1], first + "A", first.swapcase(), first[4:], TASK, FILE, "", "s2v_", f"{first}\0", "%", "*"]
    for ticket in wrong:
        for call in ("/status", "/clip"):
            with pytest.raises(AppError, match="no such ticket"):
                clients[1].predict(ticket, api_name=call)


def test_a_visitor_has_a_cap_whatever_address_is_claimed(public: str, service: Service) -> None:
    states = []
    for number in range(3):
        # What a client writes itself stands left of what the proxy writes.
        client = (
            visitor(public, 7)
            if number == 0
            else visitor(public, 0, **{"x-forwarded-for": f"10.9.8.{number}, 203.0.113.7"})
        )
        job = client.predict(handle_file(PORTRAIT), f"She counts to {number}.", consent=True, api_name="/submit")
        states.append(ended(client, job["ticket"]))
    assert [each["state"] for each in states] == ["done", "done", "refused"]
    assert "You have used today's 2 clips" in states[2]["message"]
    other = visitor(public, 8)
    job = other.predict(handle_file(PORTRAIT), "She is another.", consent=True, api_name="/submit")
    assert job["warnings"] == []
    assert ended(other, job["ticket"])["state"] == "done"
    assert len(service.calls("submit")) == 3


HOSTILE = "<img src=x onerror=alert(1)> {{value}} ${1+1} \u202egnp.exe \x1b[31mred"


def test_text_from_outside_is_text_everywhere(
    live: str, service: Service, live_folder: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(live)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    start(page, HOSTILE)
    expect_state(page, "done")
    expect(page.locator(".clips li .words")).to_contain_text("<img src=x onerror=alert(1)> {{value}} ${1+1}")
    expect(page.locator("#likeness .caption")).to_contain_text("<img src=x")
    assert page.locator("#history img, #status .card img").count() == 0
    service.query = [code(1026, HOSTILE + "x" * 500_000)]
    say(page, "She fails.")
    click(page)
    expect_state(page, "failed")
    what = page.locator("#status .ending dd").first.inner_text()
    assert "<img src=x onerror=alert(1)>" in what
    assert len(what) < 400
    assert not {"\u202e", "\x1b"} & set(what)
    assert "\x1b" not in (live_folder / "log").read_text()


@pytest.mark.parametrize("prompt", ["\ud800 She smiles.", "She \x00smiles.", "x" * 2001, " ", "\u200b"], ids=ascii)
def test_a_prompt_of_odd_characters_gets_a_sentence_or_a_clip(prompt: str, live: str, service: Service) -> None:
    with httpx.Client(base_url=live, trust_env=False, timeout=60) as http:
        body = json.dumps({"data": [None, prompt, True, "https://photos.example/a.jpg", True]})
        event = http.post("gradio_api/call/submit", content=body, headers={"Content-Type": "application/json"})
        if event.status_code != 200:
            assert event.status_code in (400, 422)
            return
        told = http.get(f"gradio_api/call/submit/{event.json()['event_id']}").text
    assert "Traceback" not in told
    assert "event: complete" in told or "The prompt" in told


def test_rows_hold_no_address_and_no_key(public: str, service: Service, public_folder: Path) -> None:
    client = visitor(public, 99, **{"X-S2V-Key": OWN})
    job = client.predict(handle_file(PORTRAIT), "She pays.", consent=True, api_name="/submit")
    ended(client, job["ticket"])
    with closing(sqlite3.connect(public_folder / "ledger.db")) as database, database:
        rows = database.execute("SELECT * FROM jobs").fetchall()
    assert rows
    assert not [value for row in rows for value in row if "203.0.113" in str(value) or OWN in str(value)]
