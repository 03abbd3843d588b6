"""ASGI middleware in front of Gradio: lets in what the page and the HTTP interface need, within limits."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import DatabaseUnavailable
from ..language import gettext, of_header, read_in
from .hosts import Hosts, visitor
from .limits import USUAL, ServerLimits
from .rates import Rates
from .requests import HttpRefusal, body
from .uploads import Uploads

_ROUTES = {
    "page": r"(GET|HEAD) /|GET /(config/?|theme\.css|favicon\.ico|manifest\.json|robots\.txt|(assets|static)/.+)"
    r"|GET /gradio_api/(app_id/?|startup-events)",
    "info": r"GET /gradio_api/info/?",
    # Gradio would fetch a URL in place of a path.
    "file": r"(GET|HEAD) /gradio_api/file=(?!\w\w+:).+",
    "stream": r"GET /gradio_api/(queue/data|call/(v2/)?(submit|status|clip)/[\w-]+)",
    "heartbeat": r"GET /gradio_api/heartbeat/[\w-]+",
    "call": r"POST /gradio_api/(queue/join|run/predict|cancel|reset|call/(v2/)?(submit|status|clip))/?",
    "upload": r"POST /gradio_api/upload",
    # Only POST does anything there, and the others say so.
    "tool call": r"(GET|POST|DELETE) /mcp",
}
# No longer scene makes a tool call longer: 2,000 characters, each escaped.
_WITHOUT_PHOTO = 13_000
_ACTS = {"call", "upload", "tool call"}


class Guard:
    """`folder` is where Gradio keeps uploads.

    `hosts` are the page's names besides `localhost`, IP addresses and this machine's own; pages of the origins
    `framers` may show it in a frame; `root` is the path in front of all others, which a proxy may have removed; `busy`
    returns how many of a visitor's calls are running. `served` tells whether what lies in a folder of `folder` may
    still be seen; it may raise `DatabaseUnavailable`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        folder: Path,
        hosts: Collection[str] = (),
        framers: Collection[str] = (),
        root: str = "",
        trusted_hops: int = 0,
        busy: Callable[[str], int] = lambda _: 0,
        served: Callable[[str], Awaitable[bool]] | None = None,
        limits: ServerLimits = USUAL,
    ) -> None:
        self._app, self._root, self._hops, self._busy = app, root, trusted_hops, busy
        self._folder, self._served = folder, served
        self._hosts, self._rates, self._uploads = Hosts(hosts, trusted_hops), Rates(limits), Uploads(folder, limits)
        self._tool_bytes = 0
        self._limits, self._frames = limits, " ".join(["frame-ancestors", *(framers or ["'none'"])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                with read_in(of_header(Headers(scope=scope).get("accept-language", ""))):
                    await self._request(self._known(scope), receive, send)
            case "lifespan":
                async with self._uploads.tidied():
                    await self._app(scope, receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1008})

    def _known(self, scope: Scope) -> Scope:
        """Returns a copy of the request with the visitor's address as its client, and its path below the root."""
        scope = dict(scope)
        headers = MutableHeaders(scope=scope)
        peer, port = scope.get("client") or ("", 0)
        scope["client"] = visitor(peer, ", ".join(headers.getlist("x-forwarded-for")), self._hops), port
        if self._root and scope["path"].startswith(f"{self._root}/"):
            scope["path"] = scope["path"][len(self._root) :]
        return scope

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, started = _kind(scope), False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(self._headers(kind))
            await send(message)

        try:
            self._hosts.check(MutableHeaders(raw=scope["headers"]), acts=kind in _ACTS)
            await self._admit(kind, scope, receive, answer)
        except HttpRefusal as refusal:
            await _told(kind, refusal)(scope, receive, answer)
        except Exception:
            if not started:
                await PlainTextResponse(gettext("Something went wrong on the server."), 500)(scope, receive, answer)
            # Anybody can make Gradio fail: the log gets only the first failures of each minute.
            with suppress(HttpRefusal):
                self._rates.count("error", "")
                raise

    async def _admit(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on. Raises `HttpRefusal` if it leads nowhere, or its visitor has asked for too much."""
        who = scope["client"][0]
        if self._root and scope["path"] == self._root:
            await RedirectResponse(f"{self._root}/")(scope, receive, send)
            return
        if not kind or "deep_link" in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True):
            raise HttpRefusal(404, "There is nothing here.")
        self._rates.count(kind, who)
        if kind == "call" and self._busy(who) >= (most := self._limits.concurrent_calls):
            many = "{most} calls from your address are running: wait for one to end, then try again."
            raise HttpRefusal(429, many, most=most)
        if kind == "info":
            # Otherwise Gradio tells everybody the host that the first caller claimed to have reached.
            scope["query_string"] += b"&page="
        with self._rates.place(kind, who):
            match kind:
                case "upload":
                    await self._uploads(scope, receive, send)
                case "call":
                    await self._app(scope, _again(await self._read(receive, self._limits.call_bytes), receive), send)
                case "tool call":
                    with self._room(scope, who):
                        whole = await self._read(receive, self._limits.tool_bytes)
                        # It can hold a photo, which takes as much work as an uploaded one.
                        if len(whole) > _WITHOUT_PHOTO:
                            self._rates.count("upload", who)
                        await self._app(scope, _again(whole, receive), send)
                case "file":
                    await self._check_served(scope["path"].partition("=")[2])
                    try:
                        await self._app(scope, receive, _with_first_bytes(send))
                    # Between two looks at it, or one and its opening: an upload goes when its JPEG is made.
                    except (FileNotFoundError, RuntimeError) as error:
                        # Starlette makes a RuntimeError of what the second look finds.
                        if not any(isinstance(each, FileNotFoundError) for each in (error, error.__context__)):
                            raise
                        raise HttpRefusal(404, "This file is no longer here.") from None
                case _:
                    await self._app(scope, receive, send)

    async def _check_served(self, path: str) -> None:
        """Raises `HttpRefusal` where another machine has deleted it."""
        if not self._served:
            return
        # As Gradio finds it, whatever the path looks like.
        try:
            folder, asked = await asyncio.to_thread(lambda: [os.path.realpath(each) for each in (self._folder, path)])
        except (OSError, ValueError):
            raise HttpRefusal(404, "There is nothing here.") from None
        if not asked.startswith(f"{folder}/"):
            return
        try:
            if await self._served(asked[len(folder) + 1 :].partition("/")[0]):
                return
        except DatabaseUnavailable as error:
            raise HttpRefusal(503, str(error)) from None
        raise HttpRefusal(404, "This file is no longer here.")

    @contextmanager
    def _room(self, scope: Scope, who: str) -> Iterator[None]:
        """Raises `HttpRefusal` while the bodies of tool calls with photos would take too much memory."""
        most = self._limits.tool_bytes
        size = min(int(Headers(scope=scope).get("content-length", most)), most)
        if size <= self._limits.call_bytes:
            yield
            return
        if self._tool_bytes + size > self._limits.tool_bytes_at_once:
            raise HttpRefusal(503, "Too many photos are being sent at once: try again in a minute.")
        # Nobody takes all of it.
        with self._rates.place("photo of a tool call", who):
            self._tool_bytes += size
            try:
                yield
            finally:
                self._tool_bytes -= size

    async def _read(self, receive: Receive, most: int) -> bytes:
        """Read the body to its end. Raises `HttpRefusal` if it is too long."""
        whole = bytearray()
        async for data in body(receive, what="request", seconds=self._limits.call_seconds):
            whole += data
            if len(whole) > most:
                size = f"{most // 1000} kB" if most < 1_000_000 else f"{most // 1_000_000} MB"
                raise HttpRefusal(413, "A request can be {size} at most.", size=size)
        return bytes(whole)

    def _headers(self, kind: str) -> dict[str, str]:
        kept = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": self._frames,
        }
        if kind in ("stream", "heartbeat", "file"):
            kept["Cache-Control"] = "no-store"
        if kind in ("stream", "heartbeat"):
            # Otherwise nginx holds events back until it has some kilobytes of them.
            kept["X-Accel-Buffering"] = "no"
        return kept


def _kind(scope: Scope) -> str:
    """Returns a key of `_ROUTES`, or an empty string."""
    asked = f"{scope['method']} {scope['path']}"
    return next((kind for kind, route in _ROUTES.items() if re.fullmatch(route, asked)), "")


def _told(kind: str, refusal: HttpRefusal) -> Response:
    if kind == "call":
        return JSONResponse({"detail": str(refusal)}, refusal.status)
    if kind == "tool call":
        # As JSON-RPC has it: of any other answer a client shows nobody more than the status.
        error = {"code": -32000, "message": str(refusal)}
        return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, refusal.status)
    return PlainTextResponse(str(refusal), refusal.status)


def _with_first_bytes(send: Send) -> Send:
    """Holds the head of an answer back until its body begins: a file is opened between the two."""
    head: list[Message] = []

    async def hold(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.append(message)
            return
        if head:
            await send(head.pop())
        await send(message)

    return hold


def _again(whole: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more."""
    given = iter([{"type": "http.request", "body": whole}])

    async def again() -> Message:
        return next(given, None) or await receive()

    return again
