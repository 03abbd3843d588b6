"""What the outside may reach of the web server, how much of it, and whom a request counts for."""

import asyncio
import json
import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s2v_core.server.guard import Guard
from s2v_core.server.hosts import visitor
from s2v_core.server.limits import ServerLimits

from ..support.pages import heard, kept_uploads, served
from ..support.photos import PORTRAIT
from ..support.service import PROMPT
from ..support.waiting import until, wait_until

RANDOM = re.compile(r"[0-9a-f]{32}(\.jpg|\.jpeg|\.png|\.webp)?")
# The limits of a page whose ends a test can reach.
SMALL = ServerLimits(cache_bytes=300_000, uploads_per_minute=2, upload_seconds=1.0, visitors=3, sessions=3)
FILE = 'form-data; name="files"; filename="a.jpg"'
addresses = (f"198.51.{number // 250}.{number % 250}" for number in count(1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Behind a proxy, and with renders that take longer than a test."""
    with served(folder, S2V_TRUSTED_HOPS="1", S2V_SIMULATOR_SECONDS="90") as url:
        yield url


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def small(small_folder: Path) -> Iterator[str]:
    with served(small_folder, limits=SMALL, S2V_TRUSTED_HOPS="1") as url:
        yield url


@contextmanager
def somebody(url: str) -> Iterator[httpx.Client]:
    """A visitor with an address of their own."""
    headers = {"X-Forwarded-For": next(addresses)}
    with httpx.Client(base_url=url, trust_env=False, timeout=60, headers=headers) as http:
        yield http


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with somebody(url) as http:
        yield http


def send(http: httpx.Client, content: bytes = b"a picture", name: str = "me.jpg") -> httpx.Response:
    return http.post("gradio_api/upload", files={"files": (name, content)})


def form(*parts: tuple[str, bytes], end: bytes = b"--x--\r\n") -> bytes:
    """A multipart body with the boundary x: each part's Content-Disposition, and its content."""
    return b"".join(b"--x\r\nContent-Disposition: %s\r\n\r\n%s\r\n" % (d.encode(), c) for d, c in parts) + end


def send_form(http: httpx.Client, body: bytes | Iterator[bytes]) -> httpx.Response:
    return http.post("gradio_api/upload", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})


FORBIDDEN = [
    ("GET", "gradio_api/deep_link?session_hash=x"),
    ("GET", "?deep_link=abcdefgh"),
    ("GET", "config?deep%5Flink=abcdefgh"),
    ("GET", "gradio_api/runs"),
    ("GET", "gradio_api/run-history/buckets"),
    ("GET", "gradio_api/run-history/records"),
    ("POST", "gradio_api/run-history/connect"),
    ("GET", "monitoring"),
    ("GET", "monitoring/summary"),
    ("GET", "gradio_api/proxy=https://example.com/"),
    ("GET", "gradio_api/file=https://example.com/a.png"),
    ("GET", "gradio_api/file=http:%2F%2F127.0.0.1/"),
    ("GET", "gradio_api/file/etc/hosts"),
    ("GET", "gradio_api/openapi.json"),
    ("GET", "openapi.json"),
    ("GET", "docs"),
    ("GET", "redoc"),
    ("GET", "gradio_api/dev/reload"),
    ("GET", "gradio_api/vibe-code"),
    ("POST", "gradio_api/vibe-edit"),
    ("POST", "gradio_api/vibe-starter-queries"),
    ("POST", "gradio_api/undo-vibe-edit"),
    ("POST", "gradio_api/stream/x"),
    ("POST", "gradio_api/stream/x/close"),
    ("GET", "gradio_api/stream/x/1/2/playlist.m3u8"),
    ("POST", "gradio_api/component_server"),
    ("POST", "gradio_api/process_recording"),
    ("GET", "gradio_api/custom_component/x/client/component/style.css"),
    ("GET", "gradio_api/profiling/summary"),
    ("GET", "gradio_api/queue/status"),
    ("GET", "gradio_api/upload_progress?upload_id=x"),
    ("GET", "gradio_api/mcp/"),
    ("POST", "gradio_api/mcp/"),
    ("GET", "gradio_api/mcp/schema"),
    ("POST", "login"),
    ("GET", "logout"),
    ("GET", "gradio_api/user"),
    ("GET", "gradio_api/token"),
    ("GET", "gradio_api/login_check"),
    ("GET", "pwa_icon/20000"),
    ("GET", "svelte/svelte.js"),
    ("POST", "gradio_api/run/make"),
    ("POST", "gradio_api/api/predict"),
    ("POST", "gradio_api/call/make"),
    ("GET", "gradio_api/call/make/x"),
    ("POST", ""),
    ("PUT", "gradio_api/upload"),
    ("OPTIONS", "gradio_api/upload"),
    ("GET", "gradio_api/queue/join"),
    ("GET", "gradio_api"),
    ("GET", "anything"),
]


@pytest.mark.parametrize(("method", "path"), FORBIDDEN, ids=[" ".join(each) for each in FORBIDDEN])
def test_what_nobody_needs_is_not_there(method: str, path: str, http: httpx.Client) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.text) == (404, "There is nothing here.")


NEEDED = [
    ("HEAD", ""),
    ("GET", "?view=api&__theme=dark"),
    ("GET", "config"),
    ("GET", "theme.css?v=1"),
    ("GET", "favicon.ico"),
    ("GET", "manifest.json"),
    ("GET", "robots.txt"),
    ("GET", "gradio_api/info?all_endpoints=True"),
    ("GET", "gradio_api/app_id"),
    ("GET", "gradio_api/startup-events"),
    ("HEAD", f"gradio_api/file={PORTRAIT.parent}/small/astronaut.jpg"),
]


@pytest.mark.parametrize(("method", "path"), NEEDED, ids=[" ".join(each) for each in NEEDED])
def test_what_the_page_needs_is_there(method: str, path: str, http: httpx.Client) -> None:
    assert http.request(method, path).status_code == 200


def test_each_answer_has_its_headers(http: httpx.Client) -> None:
    (path,) = send(http, PORTRAIT.read_bytes(), "me.png").json()
    script = re.search(r"assets/index-[\w-]+\.js", http.get("").text)
    assert script
    file = f"gradio_api/file={path}"
    assert http.get(file, headers={"Range": "bytes=10-19"}).content == PORTRAIT.read_bytes()[10:20]
    for answer, status in (
        (http.get(""), 200),
        (http.get(script[0]), 200),
        (http.get("docs"), 404),
        (http.post("gradio_api/queue/join", content=b"[" * 70_000), 413),
        (http.post("gradio_api/upload"), 400),
        (http.get(file), 200),
        (http.get(file, headers={"Range": "bytes=10-19"}), 206),
        # Gradio stumbles over it.
        (http.get(file, headers={"Range": "bytes=1-2-3"}), 500),
    ):
        assert answer.status_code == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers.get_list("Content-Security-Policy") == ["frame-ancestors 'none'"]
        assert (answer.headers.get("Cache-Control") == "no-store") == ("file=" in str(answer.url))


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_a_call_has_at_most_64_kb(chunked: bool, http: httpx.Client) -> None:
    def ask(size: int) -> httpx.Response:
        body = json.dumps({"data": ["x" * size], "session_hash": "x"}).encode()
        content = (body[at : at + 5000] for at in range(0, len(body), 5000)) if chunked else body
        return http.post("gradio_api/call/status", content=content, headers={"Content-Type": "application/json"})

    assert ask(60_000).status_code == 200
    answer = ask(70_000)
    assert (answer.status_code, answer.json()) == (413, {"detail": "A request can be 64 kB at most."})


def test_the_longest_prompt_fits(http: httpx.Client) -> None:
    # A character outside the first plane is escaped as two.
    body = json.dumps({"prompt": "😀" * 2000})
    answer = http.post("gradio_api/call/v2/submit", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
@pytest.mark.parametrize("size", [20_000_001, 30_000_000])
def test_a_photo_over_20_mb_is_refused_and_leaves_nothing(
    chunked: bool, size: int, http: httpx.Client, folder: Path
) -> None:
    before = kept_uploads(folder)
    body = form(('form-data; name="files"; filename="a.jpg"', bytes(size)))
    content = (body[at : at + 1_000_000] for at in range(0, len(body), 1_000_000)) if chunked else body
    answer = send_form(http, content)
    assert (answer.status_code, answer.text) == (413, "A photo can be 20 MB at most.")
    assert kept_uploads(folder) == before


def test_what_is_around_a_photo_counts_too(http: httpx.Client, folder: Path) -> None:
    before = kept_uploads(folder)
    answer = send_form(http, (bytes(1_000_000) if number else form((FILE, b"x")) for number in range(22)))
    assert (answer.status_code, answer.text) == (413, "A photo can be 20 MB at most.")
    assert kept_uploads(folder) == before


def test_a_photo_of_20_mb_is_taken(http: httpx.Client, folder: Path) -> None:
    (path,) = send(http, bytes(20_000_000)).json()
    assert Path(path).stat().st_size == 20_000_000
    Path(path).unlink()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (form((FILE, bytes(300_000)), (FILE, b"2")), 413, "Upload one photo at a time."),
        (form((FILE, b"1"), ('form-data; name="more"', b"2")), 413, "Upload one photo at a time."),
        (form(('form-data; name="files"', b"1")), 400, "not an upload of one photo"),
        (form((FILE, b"1"), end=b""), 400, "not an upload of one photo"),
        (form(), 400, "not an upload of one photo"),
        (b"anything", 400, "not an upload of one photo"),
        (b"", 400, "not an upload of one photo"),
        (form((f'form-data; name="files"; filename="{"a" * 5_000_000}.jpg"', b"1")), 400, "not an upload"),
    ],
    ids=["two files", "a second field", "no file", "no end", "no part", "no form", "empty", "a name of 5 MB"],
)
def test_anything_but_one_file_is_refused_and_leaves_nothing(
    body: bytes, status: int, says: str, http: httpx.Client, folder: Path
) -> None:
    before = kept_uploads(folder)
    answer = send_form(http, body)
    assert answer.status_code == status
    assert says in answer.text
    assert kept_uploads(folder) == before


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 999}",
    ],
)
def test_what_is_no_form_is_no_upload(kind: str, http: httpx.Client) -> None:
    answer = http.post("gradio_api/upload", content=form((FILE, b"1")), headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.text == "This is not an upload of one photo: send a form with a single file."


@pytest.mark.parametrize(
    ("named", "suffix"),
    [
        ('filename="canary.jpg"', ".jpg"),
        ("filename=canary.png", ".png"),
        ('filename="canary.WEBP"', ".webp"),
        ("filename*=UTF-8''canary.jpeg", ".jpeg"),
        ("FileName=\"canary.jpg\"; filename*=UTF-8''canary.exe", ".jpg"),
        (r'filename="canary\".html"', ""),
        ('filename="canary; .svg"', ""),
        ('filename="../../canary.png"', ".png"),
        (r'filename="C:\canary.jpg"', ".jpg"),
        ('filename="canary"', ""),
        ('filename=""', ""),
    ],
)
def test_a_file_gets_a_name_that_nobody_can_guess(named: str, suffix: str, http: httpx.Client, folder: Path) -> None:
    content = b"\r\n--y\r\n\r\n--" + os.urandom(100)
    answer = send_form(http, form((f'form-data; name="files"; {named}', content)))
    (path,) = answer.json()
    assert RANDOM.fullmatch(Path(path).name)
    assert Path(path).suffix == suffix
    assert Path(path).read_bytes() == content
    assert Path(path).parent == folder / "gradio"
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert not any("canary" in str(path) for path in kept_uploads(folder))


def test_the_same_picture_under_the_same_name_is_another_file(url: str) -> None:
    with somebody(url) as one, somebody(url) as other:
        assert send(one).json() != send(other).json()


def test_a_body_in_small_pieces_is_the_same_file(http: httpx.Client) -> None:
    content = os.urandom(300) + b"\r\n--x\r" + os.urandom(300)
    body = form((FILE, content))
    (path,) = send_form(http, (body[at : at + 1] for at in range(len(body)))).json()
    assert Path(path).read_bytes() == content


def test_a_broken_off_upload_leaves_nothing(url: str, folder: Path) -> None:
    before, log = kept_uploads(folder), (folder / "log").read_text()
    with cut_off(url, "gradio_api/upload", form((FILE, bytes(300_000)), end=b"")):
        wait_until(lambda: len(kept_uploads(folder)) > len(before), "the upload is arriving")
    wait_until(lambda: kept_uploads(folder) == before, "nothing of it is left")
    assert (folder / "log").read_text() == log


def test_a_visitor_uploads_ten_times_a_minute(url: str) -> None:
    with somebody(url) as http, somebody(url) as another:
        for _ in range(10):
            assert send(http).status_code == 200
        answer = send(http)
        assert (answer.status_code, answer.text[:42]) == (429, "Your address made 10 uploads within a minu")
        assert send(another).status_code == 200


def test_what_a_client_claims_of_its_address_changes_nothing(simulated: str) -> None:
    with httpx.Client(base_url=simulated, trust_env=False, timeout=60) as http:
        for number in range(10):
            http.headers["X-Forwarded-For"] = f"203.0.113.{number}"
            assert send(http).status_code == 200
        for forged in ("203.0.113.99", "203.0.113.98, 127.0.0.1", ""):
            http.headers["X-Forwarded-For"] = forged
            assert send(http).status_code == 429


@pytest.fixture(scope="module")
def ticket(url: str) -> str:
    """Of a clip that takes longer than the test."""
    with somebody(url) as http:
        photo = {"path": send(http, PORTRAIT.read_bytes()).json()[0], "meta": {"_type": "gradio.FileData"}}
        asked = http.post("gradio_api/call/v2/submit", json={"photo": photo, "prompt": PROMPT})
        said = http.get(f"gradio_api/call/submit/{asked.json()['event_id']}").text
    return json.loads(said.split("data: ")[1])[0]["ticket"]


def watch(http: httpx.Client, ticket: str, stack: ExitStack) -> httpx.Response:
    """The stream of a page that recovers a job and then watches it."""
    session = os.urandom(5).hex()
    numbers = {each["api_name"]: each["id"] for each in http.get("config").json()["dependencies"]}

    def call(name: str, *data: object) -> None:
        asked = {"data": data, "fn_index": numbers[name], "session_hash": session}
        http.post("gradio_api/queue/join", json=asked)

    call("recover_ticket", ticket, None)
    found = heard(http, session)
    if found.status_code != 200:
        return found
    call("watch", None)
    return stack.enter_context(http.stream("GET", "gradio_api/queue/data", params={"session_hash": session}))


def test_four_clips_are_watched_at_once_and_one_that_is_left_makes_room(url: str, ticket: str) -> None:
    with somebody(url) as http, somebody(url) as another, ExitStack() as stack:
        first = ExitStack()
        watched = [watch(http, ticket, first), *(watch(http, ticket, stack) for _ in range(3))]
        assert [stream.status_code for stream in watched] == [200] * 4
        assert {stream.headers["Cache-Control"] for stream in watched} == {"no-store"}
        # Held on to: a stream ends with its iterator.
        told = [stream.iter_lines() for stream in watched]
        for lines in told:
            while "rendering" not in next(lines):
                pass
        refused = watch(http, ticket, stack)
        assert (refused.status_code, refused.read()[:44]) == (429, b"4 clips are being watched from your address ")
        assert watch(another, ticket, stack).status_code == 200
        assert http.get("").status_code == 200
        first.close()
        wait_until(lambda: watch(http, ticket, stack).status_code == 200, "the one that left has made room")


def test_events_to_which_nobody_listens_do_not_take_all_places(url: str, ticket: str) -> None:
    with somebody(url) as http, somebody(url) as another:
        numbers = {each["api_name"]: each["id"] for each in http.get("config").json()["dependencies"]}
        deaf = [{"session_hash": f"deaf{number}"} for number in range(50)]
        for session in deaf:
            recovered = {"data": [ticket, None], "fn_index": numbers["recover_ticket"]} | session
            http.post("gradio_api/queue/join", json=recovered)
            heard_by = partial(heard, http, session["session_hash"])
            wait_until(lambda: heard_by().status_code == 200, "a stream before has made room")  # noqa: B023
        show = {"data": [None], "fn_index": numbers["watch"]}
        answers = [http.post("gradio_api/queue/join", json=show | session) for session in [*deaf, deaf[0]]]
        assert [answer.status_code for answer in answers] == [200] * 50 + [429]
        refused = answers[-1]
        assert refused.json()["detail"].startswith("50 calls from your address are running")
        assert "s2v_" in event(another, "heard", "recover_ticket", ticket, None)


def test_open_pages_are_counted_apart_and_a_lost_connection_makes_room(url: str, ticket: str) -> None:
    with somebody(url) as http, ExitStack() as stack:
        cut = ExitStack()
        address = http.headers["X-Forwarded-For"]
        cut.enter_context(cut_off(url, "gradio_api/heartbeat/lost", method="GET", address=address))
        hearts = [f"gradio_api/heartbeat/{number}" for number in range(17)]
        for path in hearts[:15]:
            assert stack.enter_context(http.stream("GET", path)).status_code == 200
        assert watch(http, ticket, stack).status_code == 200
        wait_until(lambda: http.stream("GET", hearts[16]).__enter__().status_code == 429, "all places are taken")
        cut.close()
        wait_until(
            lambda: stack.enter_context(http.stream("GET", hearts[16])).status_code == 200, "there is a place again"
        )


def event(http: httpx.Client, session: str, name: str, *data: object, told: object = None) -> str:
    """What a page is told of one of its events."""
    number = next(each["id"] for each in http.get("config").json()["dependencies"] if each["api_name"] == name)
    asked = {"data": data, "event_data": told, "fn_index": number, "session_hash": session}
    http.post("gradio_api/queue/join", json=asked)
    return heard(http, session).text


def test_an_open_page_keeps_its_state_whatever_a_stranger_calls(small: str) -> None:
    def keeps_its_state(http: httpx.Client) -> bool:
        # The number of this page's wishes.
        told = event(http, "mine", "open_card", None, told={"ticket": "s2v_unknown"})
        number = re.search(r'"process_completed".*?"data":\[(\d+),', told)
        assert number, told
        return int(number[1]) > 1

    with somebody(small) as http, somebody(small) as stranger:
        with http.stream("GET", "gradio_api/heartbeat/mine") as page:
            told = page.iter_lines()
            assert "ALIVE" in next(told)
            assert not keeps_its_state(http)
            for _ in range(8):
                stranger.post("gradio_api/call/status", json={"data": ["s2v_unknown"]})
            assert keeps_its_state(http)
        # Closed, it is one of many.
        for _ in range(8):
            stranger.post("gradio_api/call/status", json={"data": ["s2v_unknown"]})
        wait_until(lambda: not keeps_its_state(http), "the session is forgotten")


def test_a_stop_waits_for_no_stream_and_no_half_upload(tmp_path: Path) -> None:
    with ExitStack() as stack, served(tmp_path, GRADIO_DEBUG="1") as url:
        http = stack.enter_context(httpx.Client(base_url=url, trust_env=False))
        for number in range(8):
            heart = stack.enter_context(http.stream("GET", f"gradio_api/heartbeat/{number}"))
            assert next(heart.iter_lines()) == "data: ALIVE"
        for _ in range(3):
            stack.enter_context(cut_off(url, "gradio_api/upload", form((FILE, bytes(300_000)), end=b"")))
            stack.enter_context(cut_off(url, "gradio_api/queue/join", b"{"))
        stack.enter_context(socket.create_connection(("127.0.0.1", urlsplit(url).port)))
        wait_until(lambda: len(kept_uploads(tmp_path)) >= 3, "all three are arriving")
    # Nor was it ended, whatever it hung at.
    for word in ("Traceback", "did not stop"):
        assert word not in (tmp_path / "log").read_text()


def test_as_curl_does_it_a_job_is_submitted_and_asked_for(url: str, ticket: str) -> None:
    assert re.fullmatch(r"s2v_[\w-]{22}", ticket)
    with somebody(url) as http:
        asked = http.post("gradio_api/call/status", json={"data": [ticket]}).json()["event_id"]
        assert '"state": "rendering"' in http.get(f"gradio_api/call/status/{asked}").text


def test_whoever_orders_and_hears_of_no_event_has_the_ticket(url: str) -> None:
    with somebody(url) as http:
        photo = {"path": send(http, PORTRAIT.read_bytes()).json()[0], "meta": {"_type": "gradio.FileData"}}
        numbers = {each["api_name"]: each["id"] for each in http.get("config").json()["dependencies"]}
        joined = {"data": [photo, "She waits.", True, "", False], "fn_index": numbers["submit"], "session_hash": "lost"}
        called = {"photo": photo, "prompt": "She waits for long."}
        for path, body in (("queue/join", joined), ("call/v2/submit", called)):
            ticket = http.post(f"gradio_api/{path}", json=body).json()["ticket"]

            def known(ticket: str = ticket) -> bool:
                asked = http.post("gradio_api/call/status", json={"data": [ticket]}).json()["event_id"]
                return '"state": "' in http.get(f"gradio_api/call/status/{asked}").text

            wait_until(known, "it is known")


def test_the_interface_is_not_told_under_the_host_of_another(http: httpx.Client, url: str) -> None:
    for path in ("gradio_api/info", "gradio_api/info?all_endpoints=True"):
        http.get(path, headers={"X-Forwarded-Host": "canary.example", "X-Gradio-Server": "http://canary.example"})
        told = http.get(path).text
        assert "canary" not in told
        assert f"{url}gradio_api/call/v2/submit" in told


class Behind:
    """What a guard lets through."""

    def __init__(self, **settings: object) -> None:
        self.seen: list[dict[str, str]] = []
        self.guard = Guard(self._take, folder=Path(), hosts=("page.example",), **settings)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(dict(Headers(scope=scope)) | {"path": scope["path"]})
        await PlainTextResponse("taken")(scope, receive, send)

    async def ask(
        self, path: str = "/", *, receive: Receive | None = None, who: str = "192.0.2.1", **headers: str | None
    ) -> httpx.Response:
        given = {"host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()}
        raw = [(name.encode(), value.encode()) for name, value in given.items() if value is not None]
        method = "POST" if path.endswith(("join", "predict", "submit", "upload")) else "GET"
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": raw}
        said: list[Message] = []

        async def hear() -> Message:
            return {"type": "http.request"}

        async def say(message: Message) -> None:
            said.append(message)

        await self.guard({**scope, "client": (who, 1)}, receive or hear, say)
        body = b"".join(message.get("body", b"") for message in said)
        return httpx.Response(said[0]["status"], headers=said[0]["headers"], content=body)


SERVED = ["localhost", "LocalHost:7860", "localhost.", "localhost.:80", "127.0.0.1", "127.9.9.9:1", "203.0.113.9"]
SERVED += ["[::1]:7860", "[2001:DB8::1]", "page.example", "Page.Example.:443", socket.gethostname()]
STRANGE = ["evil.example", "evil.example:7860", "localhost.evil.example", "xlocalhost", "page.example.evil.example"]
STRANGE += [
    "sub.page.example",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "localhost/evil",
    "[::1",
    "::1:x",
    "",
]
STRANGE += [
    "localhost:x",
    "localhost evil.example",
    "localhost,evil.example",
    "localhost..",
    "0x7f.1",
    "page.example\0",
    None,
]


@pytest.mark.parametrize("host", SERVED)
async def test_the_page_is_served_under_its_names_and_addresses(host: str) -> None:
    assert (await Behind().ask(host=host)).text == "taken"


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("path", ["/", "/gradio_api/queue/join", "/anything"])
async def test_under_a_foreign_name_nothing_is_served_and_the_setting_is_named(host: str | None, path: str) -> None:
    behind = Behind(trusted_hops=1)
    answer = await behind.ask(path, host=host, x_forwarded_host="page.example", origin=f"http://{host}")
    assert (answer.status_code, behind.seen) == (421, [])
    assert "S2V_HOSTS" in answer.text


async def test_of_two_names_neither_counts() -> None:
    behind = Behind()
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "client": ("192.0.2.1", 1)}
    said: list[Message] = []

    async def say(message: Message) -> None:
        said.append(message)

    two = [(b"host", b"localhost"), (b"host", b"evil.example")]
    await behind.guard({**scope, "headers": two}, say, say)
    assert (said[0]["status"], behind.seen) == (421, [])


@pytest.mark.parametrize(
    ("hops", "claimed", "believed"),
    [
        (0, "page.example", None),
        (1, "page.example", "page.example"),
        (1, "evil.example", None),
        (1, "page.example, internal", "page.example, internal"),
        (1, "evil.example, page.example", None),
    ],
)
async def test_another_name_is_believed_of_a_trusted_proxy_where_it_is_ours(
    hops: int, claimed: str, believed: str | None
) -> None:
    behind = Behind(trusted_hops=hops)
    await behind.ask(x_forwarded_host=claimed, x_gradio_server="http://evil.example")
    assert behind.seen[0].get("x-forwarded-host") == believed
    assert "x-gradio-server" not in behind.seen[0]


OWN = [
    {},
    {"origin": "http://localhost"},
    {"host": "localhost:7860", "origin": "http://LOCALHOST:7860"},
    {"host": "localhost:7860", "origin": "http://localhost:7860", "sec_fetch_site": "same-origin"},
    {"host": "[::1]:7860", "origin": "http://[::1]:7860"},
    # Of a proxy that passes on the name without its port, or its own, or another.
    {"host": "203.0.113.9", "origin": "https://203.0.113.9:8443"},
    {"host": "127.0.0.1:7860", "origin": "http://127.0.0.1:8080", "sec_fetch_site": "same-origin"},
    {"host": "127.0.0.1:7860", "origin": "https://page.example"},
    {"host": "127.0.0.1:7860", "origin": "https://203.0.113.9", "x_forwarded_host": "203.0.113.9"},
]
FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://203.0.113.9"},
    {"host": "localhost:7860", "origin": "http://localhost:3000"},
    {"host": "localhost:7860", "origin": "http://127.0.0.1:7860"},
    {"origin": "http://localhost", "sec_fetch_site": "cross-site"},
    {"origin": "http://localhost", "sec_fetch_site": "same-site"},
    {"origin": "http://evil.example", "sec_fetch_site": "same-origin"},
    {"origin": "https://localhost.evil.example"},
    {"origin": "https://evil.example", "x_forwarded_host": "evil.example"},
]


@pytest.mark.parametrize("headers", OWN, ids=str)
@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/call/v2/submit"])
async def test_a_call_of_the_page_itself_or_of_a_program_is_taken(path: str, headers: dict[str, str]) -> None:
    assert (await Behind(trusted_hops=1).ask(path, **headers)).text == "taken"


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/call/v2/submit", "/gradio_api/upload"])
async def test_a_call_of_a_foreign_page_is_refused(path: str, headers: dict[str, str]) -> None:
    behind = Behind(trusted_hops=1)
    answer = await behind.ask(path, **headers)
    assert (answer.status_code, behind.seen) == (403, [])
    assert "nothing was charged" in answer.text
    assert "S2V_HOSTS" in answer.text


async def test_links_follow_the_browser_where_a_proxy_hides_it_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    behind = Behind()
    for _ in range(2):
        await behind.ask("/gradio_api/queue/join", host="127.0.0.1:7860", origin="https://page.example:8443")
    seen = behind.seen[-1]
    assert (seen["x-forwarded-host"], seen["x-forwarded-proto"]) == ("page.example:8443", "https")
    assert [record.getMessage() for record in caplog.records] == [
        "A proxy forwards requests for https://page.example:8443 as requests for 127.0.0.1:7860. Browsers get working "
        "links to clips, but programs would get internal ones: have the proxy forward the Host header."
    ]


async def test_a_page_is_framed_by_nobody_or_by_those_that_are_named() -> None:
    assert (await Behind().ask()).headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    framers = ["https://huggingface.co", "https://a-b.hf.space"]
    policy = "frame-ancestors https://huggingface.co https://a-b.hf.space"
    assert (await Behind(framers=framers).ask()).headers["Content-Security-Policy"] == policy


@pytest.mark.parametrize(
    ("asked", "found"),
    [("/s2v/", "/"), ("/s2v/config", "/config"), ("/config", "/config"), ("/s2v/s2v/config", None), ("/s2vx/", None)],
)
async def test_below_a_path_it_may_be_kept_or_taken_off(asked: str, found: str | None) -> None:
    behind = Behind(root="/s2v")
    assert (await behind.ask(asked)).status_code == (200 if found else 404)
    assert [seen["path"] for seen in behind.seen] == ([found] if found else [])


async def test_the_path_itself_leads_to_the_page() -> None:
    answer = await Behind(root="/s2v").ask("/s2v")
    assert (answer.status_code, answer.headers["Location"]) == (307, "/s2v/")


@pytest.mark.parametrize("path", ["/gradio_api/queue/data", "/gradio_api/heartbeat/x", "/gradio_api/call/submit/x"])
async def test_no_proxy_holds_a_stream_back(path: str) -> None:
    behind = Behind()
    # The last is asked for, not sent.
    headers = (await behind.ask(path)).headers if "submit" not in path else (await behind.ask(f"{path}y")).headers
    assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-store")
    assert "X-Accel-Buffering" not in (await behind.ask("/")).headers


async def test_a_visitor_calls_600_times_a_minute_and_another_is_not_concerned() -> None:
    behind = Behind()
    for _ in range(600):
        assert (await behind.ask("/gradio_api/queue/join")).status_code == 200
    answer = await behind.ask("/gradio_api/call/v2/submit")
    assert (answer.status_code, answer.json()["detail"][:40]) == (429, "Your address made 600 calls within a min")
    assert (await behind.ask("/gradio_api/queue/join", who="192.0.2.2")).status_code == 200
    for path in ("/", "/gradio_api/queue/data", "/gradio_api/heartbeat/x", "/gradio_api/file=/clip.mp4"):
        assert (await behind.ask(path)).status_code == 200


async def test_a_visitor_has_50_calls_under_way() -> None:
    behind = Behind(busy={"192.0.2.1": 50, "192.0.2.2": 49}.get)
    assert (await behind.ask("/gradio_api/queue/join")).status_code == 429
    assert (await behind.ask("/gradio_api/queue/join", who="192.0.2.2")).status_code == 200
    assert (await behind.ask("/")).status_code == 200


async def test_a_visitor_waits_for_50_answers_at_once() -> None:
    behind, answers = Behind(), asyncio.Event()
    usual = behind.guard._app

    waiting: list[object] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.append(scope)
        await answers.wait()
        await usual(scope, receive, send)

    behind.guard._app = slow
    asked = [asyncio.create_task(behind.ask("/gradio_api/run/predict")) for _ in range(50)]
    await until(lambda: len(waiting) == 50, "all are under way")
    refused = await behind.ask("/gradio_api/run/predict")
    assert (refused.status_code, refused.json()["detail"][:20]) == (429, "50 calls are running")
    answers.set()
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
    assert (await behind.ask("/gradio_api/run/predict")).status_code == 200


async def test_of_what_fails_the_log_has_twenty_a_minute() -> None:
    behind, raised = Behind(), 0
    behind.guard._app = unable
    for _ in range(50):
        try:
            assert (await behind.ask("/config")).text == "Something went wrong on the server."
        except ZeroDivisionError:
            raised += 1
    assert raised == 20


async def unable(*_: object) -> None:
    raise ZeroDivisionError


async def never() -> Message:
    return await asyncio.Future()


async def gone(*_: object) -> None:
    raise FileNotFoundError


LATE = FileResponse("/nowhere/me.jpg", stat_result=os.stat(__file__))


@pytest.mark.parametrize(
    "opens", [gone, FileResponse("/nowhere/me.jpg"), LATE], ids=["opened", "looked at", "opened after a look"]
)
async def test_a_file_that_goes_while_it_is_opened_is_not_there(opens: ASGIApp) -> None:
    behind = Behind()
    behind.guard._app = opens
    assert (await behind.ask("/gradio_api/file=/tmp/me.jpg", receive=never)).status_code == 404


async def test_another_failure_of_a_file_is_one() -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError

    behind = Behind()
    behind.guard._app = fails
    with pytest.raises(RuntimeError):
        await behind.ask("/gradio_api/file=/tmp/me.jpg")


async def test_a_call_that_dawdles_is_ended() -> None:
    answer = await Behind(limits=ServerLimits(call_seconds=0.01)).ask("/gradio_api/queue/join", receive=never)
    assert (answer.status_code, answer.json()) == (408, {"detail": "The request took longer than 0.01 seconds."})


async def test_a_websocket_is_closed() -> None:
    said = []

    async def app(*_: object) -> None:
        raise AssertionError

    async def hear() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def say(message: dict[str, object]) -> None:
        said.append(message["type"])

    await Guard(app, folder=Path())({"type": "websocket", "path": "/gradio_api/queue/join"}, hear, say)
    assert said == ["websocket.close"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "who"),
    [
        ("192.0.2.1", "", 0, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", 0, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", 1, "203.0.113.9"),
        ("192.0.2.1", "1.1.1.1, 203.0.113.9", 1, "203.0.113.9"),
        ("192.0.2.1", "1.1.1.1,203.0.113.9 , 10.0.0.1", 2, "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9", 2, "192.0.2.1"),
        ("192.0.2.1", "", 1, "192.0.2.1"),
        ("192.0.2.1", "1.1.1.1, unknown", 1, "192.0.2.1"),
        ("192.0.2.1", "1.1.1.1,", 1, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.999", 1, "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::/64"),
        ("192.0.2.1", "2001:db8:1:2:ffff::1", 1, "2001:db8:1:2::/64"),
        ("192.0.2.1", "2001:DB8:1:2::7", 1, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "", 0, "192.0.2.7"),
        ("192.0.2.1", "::ffff:203.0.113.9", 1, "203.0.113.9"),
        ("fe80::1%eth0", "", 0, "fe80::/64"),
        ("", "", 0, ""),
        ("@socket", "", 0, "@socket"),
    ],
)
def test_a_visitor_is_whom_the_trusted_proxies_saw(peer: str, forwarded: str, hops: int, who: str) -> None:
    assert visitor(peer, forwarded, hops) == who
    assert visitor(who, forwarded, hops) == who


def test_old_uploads_make_room_for_new_ones(small: str, small_folder: Path) -> None:
    paths = []
    for _ in range(8):
        with somebody(small) as http:
            paths += send(http, os.urandom(60_000)).json()
        assert sum(path.stat().st_size for path in kept_uploads(small_folder)) <= 300_000
    there = [Path(path).exists() for path in paths]
    assert there == sorted(there)
    assert there[-4:] == [True] * 4
    with somebody(small) as http:
        samples = re.findall(r'gradio_api/file=[^"]*(?:png|jpg)', http.get("").text)
        assert len(set(samples)) >= 4
        assert {http.get(path).status_code for path in samples} == {200}


def test_more_than_there_is_room_for_is_not_taken(small: str) -> None:
    with somebody(small) as http:
        answer = send(http, bytes(310_000))
        assert (answer.status_code, answer.text[:34]) == (503, "Too much is being uploaded at once")


def test_an_upload_that_dawdles_is_ended(small: str, small_folder: Path) -> None:
    body = form((FILE, bytes(1000)))

    def slowly() -> Iterator[bytes]:
        for at in range(0, len(body), 200):
            yield body[at : at + 200]
            # All of it takes longer than the server waits, and no part does.
            time.sleep(0.4)

    before = kept_uploads(small_folder)
    with somebody(small) as http:
        http.headers["Content-Length"] = str(len(body))
        answer = send_form(http, slowly())
    assert (answer.status_code, answer.text) == (408, "The upload took longer than 1 seconds.")
    assert kept_uploads(small_folder) == before


def test_who_has_been_away_for_longest_is_forgotten_first(small: str) -> None:
    with ExitStack() as stack:
        first, *others = [stack.enter_context(somebody(small)) for _ in range(4)]
        assert [send(first).status_code for _ in range(3)] == [200, 200, 429]
        assert [send(each).status_code for each in others[:2]] == [200, 200]
        assert [send(each).status_code for each in (first, others[2], first)] == [429, 200, 429]
        assert [send(each).status_code for each in (*others, first)] == [200, 200, 200, 200]


@contextmanager
def cut_off(
    url: str, path: str, body: bytes = b"", method: str = "POST", address: str = "192.0.2.77"
) -> Iterator[None]:
    """A request under way, whose connection is lost in the end."""
    head = f"{method} /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {address}\r\n"
    if body:
        head += f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body) + 100}\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 80)) as connection:
        connection.sendall(head.encode() + b"\r\n" + body)
        yield
        # A reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
