"""Reads the body of a request, and ends a request with a refusal."""

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive


class HttpRefusal(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def body(receive: Receive, *, what: str, seconds: float) -> AsyncIterator[bytes]:
    """Yields the body as it arrives. Raises `HttpRefusal` if its sender leaves or takes longer than `seconds`."""
    until, more = asyncio.get_running_loop().time() + seconds, True
    while more:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise HttpRefusal(408, f"The {what} took longer than {seconds:g} seconds.") from None
        if message["type"] == "http.disconnect":
            raise HttpRefusal(400, f"The {what} was cut short.")
        more = message.get("more_body", False)
        yield message.get("body", b"")
