"""Who orders has the order's ticket, whoever hears of its event."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s2v_core.server.tickets import TICKET, Tickets

CALL, JOIN = "/gradio_api/call/submit", "/gradio_api/queue/join"


async def gradio(request: Request) -> Response:
    """Queues whatever it gets, and tells what it saw."""
    seen = {"ticket seen": request.headers.get(TICKET), "body": (await request.body()).decode()}
    status = 400 if seen["body"] == "wrong" else 200
    return JSONResponse({"event_id": "e1"} | seen, status)


@pytest.fixture
def http() -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/{path:path}", gradio, methods=["GET", "POST"])])
    transport = httpx.ASGITransport(Tickets(app, lambda: "s2v_new", [3]))
    return httpx.AsyncClient(transport=transport, base_url="http://studio")


@pytest.mark.parametrize(
    ("path", "body"),
    [(CALL, "{}"), ("/gradio_api/call/v2/submit", "{}"), (JOIN, json.dumps({"fn_index": 3, "data": ["x" * 5000]}))],
)
async def test_a_call_that_queues_an_order_is_answered_with_its_ticket(
    path: str, body: str, http: httpx.AsyncClient
) -> None:
    answer = (await http.post(path, content=body)).json()
    assert answer == {"event_id": "e1", "ticket": "s2v_new", "ticket seen": "s2v_new", "body": body}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/gradio_api/call/status", "{}"),
        (CALL, "wrong"),
        *[(JOIN, body) for body in ('{"fn_index": 4}', "[]", "{", '{"fn_index": []}', "[" * 50_000, "\0")],
    ],
)
async def test_no_other_answer_is_changed(path: str, body: str, http: httpx.AsyncClient) -> None:
    answer: dict[str, Any] = (await http.post(path, content=body)).json()
    assert ("ticket" in answer, answer["body"]) == (False, body)


async def test_a_ticket_that_a_caller_brings_is_not_believed(http: httpx.AsyncClient) -> None:
    for path in (CALL, JOIN, "/gradio_api/run/predict"):
        answer = (await http.post(path, content="{}", headers={TICKET: "s2v_theirs"})).json()
        assert answer["ticket seen"] in (None, "s2v_new")
