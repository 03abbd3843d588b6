"""What an assistant gets at /mcp, from the official client and from an older one, over real HTTP."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ImageContent, ResourceLink, TextContent
from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from s2v_core.photo.prepare import data_url
from s2v_core.server.guard import Guard
from s2v_core.server.limits import ServerLimits

from ..support.pages import renew, served
from ..support.photos import PORTRAIT, encoded, small_photo
from ..support.service import KEY, PROMPT, Answer, Service, task
from ..support.studios import rows
from ..support.waiting import until

OWN = "sk-visitor-51c0ffee"
PHOTO = small_photo().data_url
WANTED = {"photo": PHOTO, "prompt": PROMPT, "consent": True}
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
addresses = (f"198.51.{number // 250}.{number % 250}" for number in count(1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(scope="module")
def url(service_thread: Service, folder: Path) -> Iterator[str]:
    """Behind a proxy, so that each visitor has an address."""
    with served(
        folder, S2V_API_KEY=KEY, S2V_BASE_URL=service_thread.base_url, S2V_TRUSTED_HOPS="1", S2V_CLIPS_PER_VISITOR="2"
    ) as url:
        yield url
    log = (folder / "log").read_text()
    assert "Traceback" not in log, log
    assert not [canary for canary in (KEY, OWN, PROMPT, PHOTO[50:90]) if canary in log]


@pytest.fixture
def service(service_thread: Service, folder: Path, clip: bytes) -> Service:
    renew(service_thread, folder, clip)
    return service_thread


@asynccontextmanager
async def client(url: str, mode: str = "auto", **headers: str) -> AsyncIterator[Client]:
    """The official one, of a visitor with an address of their own."""
    headers = {"X-Forwarded-For": next(addresses)} | headers
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(f"{url}mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = JSON | {"X-Forwarded-For": next(addresses)}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as http:
        yield http


async def ask(http: httpx.AsyncClient, method: str, **params: Any) -> Any:
    answer = await http.post("mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


async def ended(client: Client, ticket: str) -> dict[str, Any]:
    async def end() -> dict[str, Any] | None:
        now = facts(await client.call_tool("status", {"ticket": ticket}))
        return None if now["poll_after_seconds"] else now

    return await until(end, "the job has ended", every=0.1)


def facts(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, said(result)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def said(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_clip_is_submitted_followed_and_linked_to(mode: str, url: str, service: Service) -> None:
    async with client(url, mode) as assistant:
        assert "Never call it again for the same wish" in (assistant.instructions or "")
        job = facts(await assistant.call_tool("submit", WANTED))
        assert (job["charged"], job["poll_after_seconds"] >= 5) == ("no", True)
        assert any("face" in warning for warning in job["warnings"])
        done = await ended(assistant, job["ticket"])
        assert (done["state"], done["charged"]) == ("done", "yes")
        assert done["message"] == "Your clip is ready. It is paid."
        found = await assistant.call_tool("clip", {"ticket": job["ticket"]})
        (link,) = [each for each in found.content if isinstance(each, ResourceLink)]
        assert (link.mime_type, link.name) == ("video/mp4", "s2v-she-looks-up-from-a-book.mp4")
        assert facts(found) == {"uri": link.uri, "size": link.size, "mimeType": "video/mp4"}
        assert len(found.model_dump_json()) < 100_000

        async def poster() -> ImageContent | None:
            again = await assistant.call_tool("clip", {"ticket": job["ticket"]})
            return next((each for each in again.content if isinstance(each, ImageContent)), None)

        picture = await until(poster, "the poster is made")
    assert base64.b64decode(picture.data).startswith(b"\xff\xd8")
    async with httpx.AsyncClient(trust_env=False) as browser:
        file = await browser.get(link.uri)
    assert (file.status_code, len(file.content), file.content[4:8]) == (200, link.size, b"ftyp")
    (paid,) = service.calls("submit")
    assert (paid.json["prompt"], paid.headers["authorization"]) == (PROMPT, f"Bearer {KEY}")


async def test_the_tools_say_what_they_cost_and_what_may_be_repeated(url: str) -> None:
    async with client(url) as assistant:
        submit, status, clip = (await assistant.list_tools()).tools
    assert submit.title == f"Make the clip · priced by {submit.description.partition('with ')[2].partition('. ')[0]}"
    hints = submit.annotations
    assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint) == (
        False, False, False, True,
    )  # fmt: skip
    assert "I may use this face." in submit.input_schema["properties"]["consent"]["description"]
    assert all("key" not in name for name in submit.input_schema["properties"])
    for free in (status, clip):
        assert free.annotations.read_only_hint
        assert [*free.input_schema["properties"]] == ["ticket"]
    assert all(each.output_schema for each in (submit, status, clip))


async def test_a_client_of_an_older_protocol_is_served(http: httpx.AsyncClient, service: Service) -> None:
    told = await ask(
        http, "initialize", protocolVersion="2025-03-26", capabilities={}, clientInfo={"name": "old", "version": "1"}
    )
    assert told["protocolVersion"] == "2025-03-26"
    noted = await http.post("mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (noted.status_code, noted.headers.get("mcp-session-id")) == (202, None)
    # It sends no header with its version.
    job = json.loads((await ask(http, "tools/call", name="submit", arguments=WANTED))["content"][0]["text"])

    async def done() -> bool:
        now = await ask(http, "tools/call", name="status", arguments={"ticket": job["ticket"]})
        return json.loads(now["content"][0]["text"])["state"] == "done"

    await until(done, "the clip is done", every=0.1)
    clip = await ask(http, "tools/call", name="clip", arguments={"ticket": job["ticket"]})
    assert {each["type"] for each in clip["content"]} <= {"text", "image"}
    assert json.loads(clip["content"][0]["text"])["uri"].startswith(str(http.base_url))


async def test_a_key_in_the_header_pays_and_is_kept_nowhere(url: str, service: Service, folder: Path) -> None:
    async with client(url, **{"X-S2V-Key": OWN}) as assistant:
        # The owner's clips have a cap for each visitor, one's own have none.
        for prompt in ("She nods.", "She bows.", "She waves."):
            job = facts(await assistant.call_tool("submit", WANTED | {"prompt": prompt}))
            assert (await ended(assistant, job["ticket"]))["state"] == "done"
    assert {call.headers["authorization"] for call in service.calls("submit")} == {f"Bearer {OWN}"}
    assert not [path for path in folder.rglob("*") if path.is_file() and OWN.encode() in path.read_bytes()]


async def test_a_caller_is_the_visitor_that_the_proxy_saw(url: str, service: Service) -> None:
    async with client(url) as assistant, client(url) as another:
        jobs = [
            facts(await assistant.call_tool("submit", WANTED | {"prompt": f"She counts to {number}."}))
            for number in range(3)
        ]
        last = [await ended(assistant, job["ticket"]) for job in jobs][-1]
        assert (last["state"], last["charged"]) == ("refused", "no")
        assert last["message"].startswith("You have used today's 2 clips; the count starts anew at midnight UTC. Noth")
        job = facts(await another.call_tool("submit", WANTED))
        assert (await ended(another, job["ticket"]))["state"] == "done"


async def test_a_link_is_passed_on(url: str, service: Service) -> None:
    async with client(url) as assistant:
        wanted = WANTED | {"photo": "https://photos.example/me.jpg", "prompt_optimizer": False}
        job = facts(await assistant.call_tool("submit", wanted))
        assert job["warnings"] == []
        await ended(assistant, job["ticket"])
    (paid,) = service.calls("submit")
    assert paid.json["subject_reference"][0]["image"] == ["https://photos.example/me.jpg"]
    assert paid.json["prompt_optimizer"] is False


WIDE = data_url(encoded(Image.new("RGB", (1600, 400)), "JPEG"))
BAD = {
    "no photo": ({"photo": ""}, "The photo is neither a data URL nor a public https link."),
    "a path": ({"photo": "/etc/hostname"}, "The photo is neither a data URL nor a public https link."),
    "a path of ours": ({"photo": str(PORTRAIT)}, "The photo is neither a data URL nor a public https link."),
    "another kind of data": ({"photo": "data:text/plain;base64,AAAA"}, "The photo is neither a data URL nor"),
    "damaged base64": ({"photo": PHOTO[:-1] + "!"}, "The photo's base64 is damaged."),
    "no picture": ({"photo": "data:image/jpeg;base64,AAAA"}, "The file is not a picture"),
    "a photo that is too wide": ({"photo": WIDE}, "The photo is 1600 × 400 px, a ratio of 4:1;"),
    "a link that is not secure": ({"photo": "http://photos.example/a.jpg"}, "The link must be public:"),
    "a link to this machine": ({"photo": "https://127.0.0.1/a.jpg"}, "The link must be public:"),
    "a number as a photo": ({"photo": 5}, "photo must be text."),
    "an empty prompt": ({"prompt": " "}, "The prompt is empty."),
    "a prompt without a visible character": ({"prompt": "\u200b"}, "The prompt is empty."),
    "a long prompt": ({"prompt": "x" * 2001}, "The prompt has 2001 characters; the service takes 2000."),
    "a list as a prompt": ({"prompt": [PROMPT]}, "prompt must be text."),
    "no consent": ({"consent": False}, "Please confirm that you may use this face."),
    "a consent that is none": ({"consent": "maybe"}, "Please confirm that you may use this face."),
    "a switch in between": ({"prompt_optimizer": "perhaps"}, "prompt_optimizer is true or false"),
    "a key as an argument": ({"key": OWN}, "submit takes only photo, prompt, prompt_optimizer, consent."),
}


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD.keys())
async def test_bad_input_gets_a_sentence_and_nothing_is_paid(
    change: dict[str, Any], says: str, http: httpx.AsyncClient, service: Service, folder: Path
) -> None:
    before = len(rows(folder))
    result = await ask(http, "tools/call", name="submit", arguments=WANTED | change)
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith(says)
    assert "Nothing was charged." in result["content"][0]["text"]
    assert OWN not in result["content"][0]["text"]
    assert len(rows(folder)) == before
    assert service.calls("submit") == []


@pytest.mark.parametrize("arguments", [None, {}, {"photo": PHOTO}, {"prompt": PROMPT}], ids=repr)
async def test_what_is_missing_is_told(arguments: Any, http: httpx.AsyncClient, service: Service) -> None:
    result = await ask(http, "tools/call", name="submit", arguments=arguments)
    assert result["isError"] is True
    assert "Nothing was charged." in result["content"][0]["text"]
    assert service.calls("submit") == []


async def test_a_key_that_can_be_none_is_not_shown(http: httpx.AsyncClient, service: Service) -> None:
    http.headers["X-S2V-Key"] = f"Bearer {OWN}"
    result = await ask(http, "tools/call", name="submit", arguments=WANTED)
    assert result["content"][0]["text"].startswith("a key is one line of printable ASCII without spaces.")
    assert OWN not in json.dumps(result)
    assert service.calls("submit") == []


@pytest.mark.parametrize("tool", ["status", "clip"])
@pytest.mark.parametrize("ticket", ["", "s2v_x", "%", "\0", 5, None], ids=repr)
async def test_a_ticket_that_names_nothing_opens_nothing(tool: str, ticket: Any, http: httpx.AsyncClient) -> None:
    result = await ask(http, "tools/call", name=tool, arguments={"ticket": ticket})
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith(("There is no such ticket here.", "ticket must be text."))
    assert "charged" not in result["content"][0]["text"]


async def test_a_tool_that_is_none_is_answered_with_those_that_are(http: httpx.AsyncClient) -> None:
    result = await ask(http, "tools/call", name="delete", arguments={})
    assert result["content"][0]["text"] == "There is no such tool here, only submit, status, clip."


async def test_a_clip_that_is_not_there_yet_says_how_its_job_stands(url: str, service: Service) -> None:
    service.query = [task("Processing")]
    async with client(url) as assistant:
        ticket = facts(await assistant.call_tool("submit", WANTED))["ticket"]
        await until(lambda: service.calls("query"), "it renders")
        result = await assistant.call_tool("clip", {"ticket": ticket})
        service.query = [task("Fail")]
        await ended(assistant, ticket)
    assert result.is_error
    assert said(result).startswith("There is no clip: the job is rendering. ")
    assert said(result).endswith("One to four minutes, sometimes over ten. It is paid.")


async def test_an_unknown_charge_is_told_and_what_to_do(url: str, service: Service) -> None:
    service.submit = [Answer(reset=True)]
    async with client(url) as assistant:
        now = await ended(assistant, facts(await assistant.call_tool("submit", WANTED))["ticket"])
    assert (now["state"], now["charged"]) == ("unknown", "unknown")
    assert "may have been charged: it counts as spent and was not sent again. Look at" in now["message"]
    assert len(service.calls("submit")) == 1


async def test_ten_wishes_at_once_are_ten_jobs_and_one_wish_ten_times_is_one(url: str, service: Service) -> None:
    service.query = [task("Processing")]
    # A photo takes a processor.
    wanted = WANTED | {"photo": "https://photos.example/me.jpg"}
    async with client(url, **{"X-S2V-Key": OWN}) as assistant:

        async def submit(prompt: str) -> str:
            return str(facts(await assistant.call_tool("submit", wanted | {"prompt": prompt}))["ticket"])

        assert len(set(await asyncio.gather(*(submit(f"She counts to {number}.") for number in range(10))))) == 10
        assert len(set(await asyncio.gather(*(submit("She stops.") for _ in range(10))))) == 1
        service.query = [task("Fail")]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_nothing_but_a_post_is_answered(method: str, http: httpx.AsyncClient) -> None:
    answer = await http.request(method, "mcp", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 60_000, b'{"jsonrpc": "2.0"}'], ids=ascii)
@pytest.mark.parametrize("version", ["2025-03-26", "2026-07-28", "x"])
async def test_what_is_no_message_is_refused(content: bytes, version: str, http: httpx.AsyncClient) -> None:
    answer = await http.post("mcp", content=content, headers={"MCP-Protocol-Version": version})
    assert 400 <= answer.status_code < 500


async def test_nobody_fills_the_log_with_messages_that_are_none(http: httpx.AsyncClient, folder: Path) -> None:
    wrong = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": []}}
    for _ in range(3):
        assert (await http.post("mcp", json=wrong)).status_code == 202
    # It is looked at after its answer.
    await ask(http, "tools/list")
    assert "mcp" not in (folder / "log").read_text()


async def test_a_page_of_another_site_cannot_call(http: httpx.AsyncClient) -> None:
    answer = await http.post("mcp", json={}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "another site's page" in answer.json()["error"]["message"]


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
async def test_a_call_has_at_most_3_mb(chunked: bool, http: httpx.AsyncClient, service: Service) -> None:
    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(body), 100_000):
            yield body[at : at + 100_000]

    async def post(size: int) -> httpx.Response:
        photo = "data:image/jpeg;base64," + "A" * size
        call = {"name": "submit", "arguments": WANTED | {"photo": photo}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
        return await http.post("mcp", content=pieces(body) if chunked else body)

    # 2 MB as base64.
    taken, refused = await post(2_666_668), await post(3_000_000)
    assert taken.json()["result"]["content"][0]["text"].startswith("The file is not a picture")
    assert (refused.status_code, refused.json()["error"]["message"]) == (413, "A request can be 3 MB at most.")


async def test_a_client_shows_why_it_was_refused(url: str, service: Service) -> None:
    async with client(url) as assistant:
        with pytest.raises(Exception, match="A request can be 3 MB at most"):
            await assistant.call_tool("submit", WANTED | {"photo": "data:image/jpeg;base64," + "A" * 3_000_000})


async def test_ten_photos_a_minute_are_taken_of_a_visitor(http: httpx.AsyncClient, url: str, service: Service) -> None:
    def call(photo: str) -> dict[str, Any]:
        params = {"name": "submit", "arguments": {"photo": photo, "prompt": PROMPT}}
        return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    large = call("data:image/jpeg;base64," + "A" * 64_000)
    assert [(await http.post("mcp", json=large)).status_code for _ in range(11)] == [200] * 10 + [429]
    refused = await http.post("mcp", json=large)
    assert refused.json()["error"]["message"].startswith("Your address made 10 uploads within a minute")
    assert (await http.post("mcp", json=call(""))).status_code == 200
    async with client(url) as another:
        assert (await another.call_tool("submit", large["params"]["arguments"])).is_error


class Behind:
    """A guard before tools that answer when they are told to."""

    def __init__(self, **limits: int) -> None:
        self.arrived, self.answer = 0, asyncio.Event()
        self.guard = Guard(self._take, folder=Path(), trusted_hops=1, limits=ServerLimits(**limits))

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.arrived += 1
        await self.answer.wait()
        await PlainTextResponse("taken")(scope, receive, send)

    async def call(self, size: int = 10, address: str = "192.0.2.1") -> int:
        transport = httpx.ASGITransport(self.guard)
        async with asyncio.timeout(30), httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return (await http.post("/mcp", content=bytes(size), headers={"X-Forwarded-For": address})).status_code


async def test_a_visitor_has_ten_calls_under_way() -> None:
    behind = Behind()
    calls = [asyncio.create_task(behind.call()) for _ in range(10)]
    await until(lambda: behind.arrived == 10, "all are under way")
    assert await behind.call() == 429
    other = asyncio.create_task(behind.call(address="192.0.2.2"))
    await until(lambda: behind.arrived == 11, "another's is, too")
    behind.answer.set()
    assert await asyncio.gather(other, *calls) == [200] * 11
    assert await behind.call() == 200


async def test_a_visitor_calls_600_times_a_minute() -> None:
    behind = Behind()
    behind.answer.set()
    assert [await behind.call() for _ in range(601)] == [200] * 600 + [429]


async def test_the_calls_of_all_visitors_have_room_for_so_many_bytes() -> None:
    behind = Behind(tool_bytes_at_once=10_000, call_bytes=1_000)
    calls = [asyncio.create_task(behind.call(4_000, f"192.0.2.{number}")) for number in (1, 2)]
    await until(lambda: behind.arrived == 2, "two are under way")
    assert await behind.call(4_000, "192.0.2.3") == 503
    behind.answer.set()
    assert await asyncio.gather(*calls) == [200, 200]
    assert await behind.call(4_000, "192.0.2.3") == 200


def test_without_the_extra_the_page_is_as_it_was_and_says_how_to_get_it(tmp_path: Path) -> None:
    without = f"import sys; sys.modules['mcp'] = None; import runpy; runpy.run_path({'app.py'!r}, run_name='__main__')"
    assert sys.modules["mcp"]
    with served(tmp_path, program=("-c", without)) as url, httpx.Client(base_url=url, trust_env=False) as http:
        answers = [http.get("mcp"), http.post("mcp", json={})]
        assert http.get("config").status_code == 200
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (404, "Tools for assistants are not installed: pip install -r requirements-mcp.txt")
    }
