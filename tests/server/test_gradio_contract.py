"""What we lean on of Gradio's inner workings: after an update that breaks one of them, a sentence here says which."""

import asyncio
import gc
import inspect
import json
import re
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from s2v_core.server import document, streams
from s2v_core.server.connections import Connections, bounded
from s2v_core.server.sessions import Sessions, bound, forget

from ..support.forks import ROOT
from ..support.photos import ASSETS

# Gradio leaves event loops behind.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
FRONTEND = Path(gr.__file__).parent / "templates" / "frontend" / "assets"


class Seen:
    """What passed the middleware, and what the server held while an event ran."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.opened = False
        self.calls: list[dict[str, Any]] = []
        self.running: list[Any] = []
        self.sessions = Sessions(lambda _: None, most=100)
        self.connections = Connections()


class Spy:
    def __init__(self, app: ASGIApp, seen: Seen) -> None:
        self._app, self._seen = app, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._seen.paths.append(scope.get("path", ""))
        await self._app(scope, receive, send)


@pytest.fixture(scope="module", autouse=True)
def _tidied() -> Iterator[None]:
    yield
    asyncio.set_event_loop(None)
    with warnings.catch_warnings(action="ignore"):
        gc.collect()


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def blocks(seen: Seen) -> Iterator[gr.Blocks]:
    """A small page that is really served, with all that we hook into."""

    def greet(request: gr.Request, name: str, *, word: str, **more: str) -> dict[Any, Any]:
        seen.running.extend(page._queue.event_ids_to_events.values())
        return {said: f"{word} {name} of {more['town']} at {request.client.host}"}

    def fail(name: str) -> str:
        raise gr.Error(f"{name} is told", print_exception=False)

    with gr.Blocks(analytics_enabled=False) as page:
        name, word, town = gr.Textbox("Ada"), gr.Textbox("Hello"), gr.Textbox("London")
        said, other = gr.Textbox(), gr.Textbox()
        fields = {"word": word, "name": name, "town": town}
        event = gr.Button().click(greet, inputs_kwargs=fields, outputs=said, api_visibility="private")
        gr.api(fail, api_name="fail")
        greeting = page.fns[0]
        greeting.outputs = [*greeting.outputs, other]
    assert event
    process = page.process_api

    async def process_api(block_fn: Any, inputs: list[Any], **around: Any) -> Any:
        seen.calls.append({"block_fn": block_fn, "inputs": inputs, **around})
        return await process(block_fn, inputs, **around)

    page.process_api = process_api

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        seen.opened = True
        bound(page, seen.sessions)
        yield

    async def manifest(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ours")

    more = {"lifespan": lifespan, "middleware": [Middleware(Spy, seen)], "routes": [Route("/manifest.json", manifest)]}
    with bounded(seen.connections):
        page.launch(prevent_thread_lock=True, quiet=True, app_kwargs=more, ssr_mode=False, server_name="127.0.0.1")
    yield page
    page.close()


@pytest.fixture(scope="module")
def http(blocks: gr.Blocks) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=blocks.local_url, headers={"Connection": "close"}, trust_env=False, timeout=30) as http:
        yield http


@pytest.fixture(scope="module")
def told(http: httpx.Client) -> str:
    """The stream of a page with one event."""
    asked = {"data": ["Good day", "Ada", "London"], "fn_index": 0, "session_hash": "mine"}
    assert http.post("/gradio_api/queue/join", json=asked).is_success
    return http.get("/gradio_api/queue/data", params={"session_hash": "mine"}).text


def test_the_version_is_held_to_the_one_minor_that_was_looked_at() -> None:
    pinned = re.search(r"^gradio~=(\d+\.\d+)\.\d+$", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned
    assert gr.__version__.startswith(f"{pinned[1]}.")


def test_uploads_lie_where_we_look_whether_their_folder_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    assert Path(get_upload_folder()) == (Path(gettempdir()) / "gradio").resolve()
    monkeypatch.setenv("GRADIO_TEMP_DIR", "/elsewhere")
    assert get_upload_folder() == "/elsewhere"


def test_a_file_in_a_folder_of_its_own_among_the_uploads_is_served_by_its_path(http: httpx.Client) -> None:
    path = Path(get_upload_folder()) / "gradio-contract" / "portrait.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"jpeg")
    try:
        assert http.get(f"/gradio_api/file={path}").content == b"jpeg"
    finally:
        path.unlink()
        path.parent.rmdir()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/theme.css",
        "/robots.txt",
        "/gradio_api/app_id",
        "/gradio_api/info",
        "/gradio_api/startup-events",
    ],
)
def test_the_pages_that_the_guard_lets_through_are_there(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 200


@pytest.mark.parametrize("path", ["queue/join", "run/predict", "cancel", "reset", "call/fail", "call/v2/fail"])
def test_the_calls_that_the_guard_lets_through_are_there(http: httpx.Client, path: str) -> None:
    asked = {"data": ["Ada"], "name": "Ada", "fn_index": 0, "session_hash": "other", "event_id": "none"}
    assert http.post(f"/gradio_api/{path}", json=asked).status_code not in (404, 405)


def test_an_open_page_holds_its_heartbeat(http: httpx.Client) -> None:
    with http.stream("GET", "/gradio_api/heartbeat/mine") as stream:
        assert "ALIVE" in next(stream.iter_lines())


def test_the_end_of_a_stream_begins_as_the_middleware_expects(told: str) -> None:
    *_, last = filter(None, told.split("\n\n"))
    assert last.encode().startswith(streams._CLOSE)


def test_an_event_names_its_session_as_the_middleware_expects() -> None:
    body = httpx.Request("POST", "http://127.0.0.1", json={"fn_index": 0, "session_hash": "a1"}).content
    found = streams._SESSION.search(body)
    assert found
    assert found[1] == b"a1"
    assert "session_hash" in inspect.signature(gr.data_classes.PredictBody).parameters


def test_a_call_without_a_session_gets_one_that_is_named_like_its_event(http: httpx.Client, seen: Seen) -> None:
    event = http.post("/gradio_api/call/fail", json={"data": ["Ada"]}).json()["event_id"]
    http.get(f"/gradio_api/call/fail/{event}")
    assert event in seen.sessions._idle


def test_the_error_of_a_call_is_told_to_a_program(http: httpx.Client) -> None:
    event = http.post("/gradio_api/call/fail", json={"data": ["Ada"]}).json()["event_id"]
    assert "Ada is told" in http.get(f"/gradio_api/call/fail/{event}").text


def test_inputs_come_by_name_and_the_request_comes_first(told: str) -> None:
    assert "Good day Ada of London at 127.0.0.1" in told


def test_an_output_that_is_added_before_the_blocks_end_is_one_of_the_event(blocks: gr.Blocks, told: str) -> None:
    assert len(blocks.config["dependencies"][0]["outputs"]) == 2
    done = next(json.loads(line[6:]) for line in told.splitlines() if "process_completed" in line)
    assert len(done["output"]["data"]) == 2


def test_an_event_runs_through_process_api_which_can_be_replaced(seen: Seen, told: str) -> None:
    assert told
    call = seen.calls[0]
    assert {"block_fn", "inputs", "state", "iterator", "session_hash"} <= call.keys()
    names = {"fn", "inputs", "outputs", "input_keyword_names", "api_visibility"}
    assert names <= vars(call["block_fn"]).keys()
    assert callable(gr.Blocks._drop_run_streams)


def test_a_running_event_knows_its_visitor_and_can_be_ended(seen: Seen, told: str) -> None:
    assert told
    assert seen.running[0].request.client.host == "127.0.0.1"
    assert seen.running[0].alive is True


def test_our_lifespan_middleware_and_routes_go_before_gradios(http: httpx.Client, seen: Seen) -> None:
    assert http.get("/manifest.json").text == "ours"
    assert "/manifest.json" in seen.paths
    assert seen.opened


def test_the_html_has_what_we_replace_in_it(blocks: gr.Blocks, http: httpx.Client) -> None:
    text = http.get("/").text
    assert text.count(document._CHARSET) == text.count(document._MANIFEST) == 1
    assert document._ROOT.findall(text) == [json.dumps(blocks.local_url.rstrip("/"))]
    assert text.count("</head>") == 1
    assert "Click to try out" in text
    assert not re.search('Click to try out|content="Gradio|@Gradio|@teamGradio', document._GRADIOS.sub("", text))


def test_gradio_drops_no_session_by_itself(blocks: gr.Blocks, told: str) -> None:
    assert told
    assert blocks.state_holder is blocks.app.state_holder
    assert blocks.state_holder.capacity == sys.maxsize
    assert blocks._queue.pending_messages_per_session.max_size == sys.maxsize


def test_an_event_is_counted_for_its_session(blocks: gr.Blocks, seen: Seen, told: str) -> None:
    assert told
    assert "mine" in seen.sessions._idle
    assert "mine" in blocks.state_holder.session_data.keys() & blocks.state_holder.time_last_used.keys()


def test_no_figures_are_kept_of_calls_that_are_over(blocks: gr.Blocks, told: str) -> None:
    assert told
    assert blocks._queue.event_analytics == {}


def test_a_session_that_is_forgotten_leaves_nothing(blocks: gr.Blocks, http: httpx.Client) -> None:
    event = http.post("/gradio_api/call/fail", json={"data": ["Ada"]}).json()["event_id"]
    http.get(f"/gradio_api/call/fail/{event}")
    assert event in blocks.state_holder
    assert isinstance(blocks.app.iterators_to_reset, set)
    assert isinstance(blocks.pending_streams | blocks.pending_diff_streams, dict)
    forget(blocks, event)
    queue = blocks._queue
    for kept in (blocks.state_holder, queue.pending_messages_per_session, queue.pending_event_ids_session):
        assert event not in kept


def test_the_server_has_the_connections_that_we_bound(blocks: gr.Blocks, seen: Seen) -> None:
    assert blocks.server.config.http_protocol_class is seen.connections
    assert blocks.server.config.backlog < 2048


def test_launch_takes_what_we_pass() -> None:
    passed = {
        "theme", "js", "favicon_path", "footer_links", "run_history", "enable_monitoring", "max_threads",
        "server_port", "prevent_thread_lock", "ssr_mode", "app_kwargs",
    }  # fmt: skip
    assert passed <= inspect.signature(gr.Blocks.launch).parameters.keys()


def test_what_a_script_triggers_is_an_event_with_its_data() -> None:
    with gr.Blocks():
        cards = gr.HTML(js_on_load="trigger('open', {ticket: 's2v_x'})")
        assert cards.open(lambda: None)
    assert gr.EventData(None, {"ticket": "s2v_x"}).ticket == "s2v_x"


def test_a_program_sends_an_upload_as_a_path() -> None:
    assert gr.FileData(path="/a.jpg").model_dump()["path"] == "/a.jpg"


@pytest.fixture(scope="module")
def frontend() -> str:
    """All scripts that Gradio sends to a browser."""
    return "".join(path.read_text("utf-8", "replace") for path in FRONTEND.iterdir() if path.suffix in {".js", ".css"})


def styles() -> str:
    text = "".join(path.read_text("utf-8") for path in sorted(ASSETS.rglob("*.css")))
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def ours() -> str:
    files = [ROOT / "app.py", *ASSETS.rglob("*.js"), *ASSETS.rglob("*.html")]
    return "".join(path.read_text("utf-8") for path in files)


def test_every_test_id_that_our_styles_name_is_gradios(frontend: str) -> None:
    names = set(re.findall(r'data-testid="([\w-]+)"', styles()))
    assert names
    assert not {name for name in names if name not in frontend}


def test_every_class_that_our_styles_name_is_ours_or_gradios(frontend: str) -> None:
    names = set(re.findall(r"\.([a-z][\w-]*)(?=[^{};]*\{)", styles())) - set(re.findall(r"[\w-]+", ours()))
    assert len(names) > 5
    assert not {name for name in names if not re.search(rf"[.\"'` ]{re.escape(name)}(?![\w-])", frontend)}


def test_our_scripts_are_given_what_they_use(frontend: str) -> None:
    script = next(path for path in FRONTEND.glob("HTML-*.js")).read_text("utf-8")
    assert "@children" in script
    for name in ("element", "trigger", "props", "watch"):
        assert re.search(rf"[`\"']{name}[`\"']", script), name
    assert frontend


def test_an_upload_is_sent_and_followed_as_our_script_expects(frontend: str) -> None:
    assert re.search(r"upload_id=\$\{\w+\}`[^;]+;\w+=await this\.fetch\(\w+,\{method:`POST`,body:", frontend)
    assert "append(`files`," in frontend
    assert "/gradio_api/upload_progress?upload_id=" in frontend
