"""Reads the body of a request or a whole answer, and ends a request with a refusal."""

import asyncio
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope

from ..language import gettext


class HttpRefusal(Exception):
    """Ends a request with a status and a sentence, which is said in the reader's language."""

    def __init__(self, status: int, sentence: str, **facts: object) -> None:
        super().__init__(gettext(sentence, **facts))
        self.status = status


async def body(receive: Receive, *, what: str, seconds: float) -> AsyncIterator[bytes]:
    """Yields the body as it arrives. Raises `HttpRefusal` if its sender leaves or takes longer than `seconds`."""
    until, more = asyncio.get_running_loop().time() + seconds, True
    while more:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            late = "The {what} took longer than {seconds} seconds."
            raise HttpRefusal(408, late, what=gettext(what), seconds=f"{seconds:g}") from None
        if message["type"] == "http.disconnect":
            raise HttpRefusal(400, "The {what} was cut short.", what=gettext(what))
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def whole_answer(app: ASGIApp, scope: Scope) -> tuple[int, Headers, bytes]:
    """Returns the status, the headers and the body."""
    messages: list[Message] = []

    async def stay() -> Message:
        # Nobody ever leaves here: a browser that did would leave half a file behind for everybody.
        return await asyncio.Future()

    async def collect(message: Message) -> None:
        messages.append(message)

    await app(scope, stay, collect)
    start, *rest = messages
    body = b"".join(message.get("body", b"") for message in rest)
    return start["status"], Headers(raw=start["headers"]), body
