"""Scripts and styles are read and compressed once, and are the same bytes for everybody."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from s2v_core.server.compression import Compression

SCRIPT = "let place = 'here';\n" * 500


@pytest.fixture
def asked() -> list[str]:
    """Paths that got through to the server of the files."""
    return []


@pytest.fixture
async def client(asked: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    async def file(request: Request) -> Response:
        asked.append(request.url.path)
        there = request.path_params["path"].endswith("here.js")
        return PlainTextResponse(SCRIPT, media_type="text/javascript") if there else PlainTextResponse("no", 404)

    app = Compression(Starlette(routes=[Route("/{folder}/{path:path}", file)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as client:
        yield client


@pytest.mark.parametrize(
    ("takes", "coded"), [("gzip, deflate, br, zstd", "br"), ("gzip;q=1.0, deflate", "gzip")], ids=["br", "gzip"]
)
async def test_a_script_is_read_once_and_arrives_whole_each_time(
    takes: str, coded: str, client: httpx.AsyncClient, asked: list[str]
) -> None:
    answers = [await client.get("/assets/here.js", headers={"accept-encoding": takes}) for _ in range(3)]
    assert [answer.text for answer in answers] == [SCRIPT] * 3
    assert asked == ["/assets/here.js"]
    for answer in answers:
        assert answer.headers["content-encoding"] == coded
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"].startswith("text/javascript")
        assert int(answer.headers["content-length"]) < len(gzip.compress(SCRIPT.encode(), 1)) + 50


async def test_a_browser_that_leaves_midway_leaves_no_half_file_behind(tmp_path: Path) -> None:
    (tmp_path / "here.js").write_text(SCRIPT * 50)
    app = Compression(Starlette(routes=[Mount("/assets", StaticFiles(directory=tmp_path))]))
    coming: list[Message] = [{"type": "http.request"}]

    async def leave() -> Message:
        return coming.pop() if coming else {"type": "http.disconnect"}

    async def nobody(_message: Message) -> None: ...

    headers = [(b"accept-encoding", b"gzip")]
    scope = {"type": "http", "method": "GET", "path": "/assets/here.js", "headers": headers, "asgi": {}}
    await app({**scope, "root_path": "", "query_string": b""}, leave, nobody)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page") as client:
        assert (await client.get("/assets/here.js")).text == SCRIPT * 50


async def test_what_is_not_there_is_not_kept(client: httpx.AsyncClient, asked: list[str]) -> None:
    answers = [await client.get("/assets/gone.js") for _ in range(2)]
    assert [(answer.status_code, answer.text) for answer in answers] == [(404, "no")] * 2
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/assets/here.js", {"accept-encoding": "identity"}),
        ("GET", "/assets/here.js", {"range": "bytes=0-9"}),
        ("HEAD", "/assets/here.js", {}),
        ("GET", "/clips/here.js", {}),
        ("GET", "/assets/more/here.js", {}),
        ("GET", "/assets//here.js", {}),
    ],
)
async def test_everything_else_passes_unchanged(
    client: httpx.AsyncClient, asked: list[str], method: str, path: str, headers: dict[str, str]
) -> None:
    for _ in range(2):
        answer = await client.request(method, path, headers=headers)
        assert "content-encoding" not in answer.headers
        assert "cache-control" not in answer.headers
    assert asked == [path] * 2


async def test_the_start_of_the_server_passes() -> None:
    passed = []

    async def server(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope["type"])

    async def nothing(*_: object) -> None: ...

    await Compression(server)({"type": "lifespan"}, nothing, nothing)
    assert passed == ["lifespan"]
