"""ASGI middleware that answers a call which queues an order with the ticket that the order will have.

Gradio's own answer is the number of an event, whose end it tells on a stream of this process. Where a proxy leads the
stream to another one, or the caller is gone, the ticket alone leads to what was paid.
"""

import json
import re
from collections.abc import Callable, Collection

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# For the handler of the order; what a caller sends of it is not believed.
TICKET = "x-s2v-ticket"
_CALL = re.compile(r"/gradio_api/call/(?:v2/)?submit/?")
_JOIN = re.compile(r"/gradio_api/queue/join/?")


class Tickets:
    """`new` makes a ticket; `orders` are the numbers of Gradio's functions that queue one."""

    def __init__(self, app: ASGIApp, new: Callable[[], str], orders: Collection[int]) -> None:
        self._app, self._new, self._orders = app, new, orders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = dict(scope, headers=list(scope["headers"]))
        headers = MutableHeaders(scope=scope)
        del headers[TICKET]
        queues = scope["method"] == "POST" and bool(_CALL.fullmatch(scope["path"]))
        if scope["method"] == "POST" and _JOIN.fullmatch(scope["path"]):
            queues, receive = await self._reads(receive)
        if queues:
            headers[TICKET] = self._new()
            send = _with_ticket(headers[TICKET], send)
        await self._app(scope, receive, send)

    async def _reads(self, receive: Receive) -> tuple[bool, Receive]:
        """Whether the event that the body describes is an order; and what reads the body once more."""
        messages, more = [], True
        while more:
            messages.append(message := await receive())
            more = message.get("more_body", False)
        given = iter(messages)

        async def again() -> Message:
            return next(given, None) or await receive()

        try:
            asked = json.loads(b"".join(message.get("body", b"") for message in messages))
            return asked["fn_index"] in self._orders, again
        # Gradio says what is wrong with it.
        except (ValueError, TypeError, KeyError, RecursionError):
            return False, again


def _with_ticket(ticket: str, send: Send) -> Send:
    """Adds it to the JSON of an answer that names an event."""
    start: Message = {}
    answer = bytearray()

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
            return
        answer.extend(message.get("body", b""))
        if message.get("more_body", False):
            return
        said = bytes(answer)
        if start["status"] == 200:
            said = json.dumps(json.loads(said) | {"ticket": ticket}).encode()
            MutableHeaders(scope=start)["Content-Length"] = str(len(said))
        await send(start)
        await send({"type": "http.response.body", "body": said})

    return tell
