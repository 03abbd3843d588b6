"""ASGI middleware before Gradio: of its paths those that the page and the HTTP interface need, within limits."""

import logging
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import ImageRejected
from .hosts import Hosts, visitor
from .limits import USUAL, ServerLimits
from .requests import HttpRefusal, body
from .uploads import Uploads

_log = logging.getLogger(__name__)

_ROUTES = {
    "page": r"(GET|HEAD) /|GET /(config/?|theme\.css|favicon\.ico|manifest\.json|robots\.txt|(assets|static)/.+)"
    r"|GET /gradio_api/(app_id/?|startup-events)",
    "info": r"GET /gradio_api/info/?",
    # A URL in the place of a path is fetched by Gradio.
    "file": r"(GET|HEAD) /gradio_api/file=(?!\w\w+:).+",
    "stream": r"GET /gradio_api/(queue/data|call/(v2/)?(submit|status|clip)/[\w-]+)",
    "heartbeat": r"GET /gradio_api/heartbeat/[\w-]+",
    "call": r"POST /gradio_api/(queue/join|run/predict|cancel|reset|call/(v2/)?(submit|status|clip))/?",
    "upload": r"POST /gradio_api/upload",
}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Guard:
    """`folder` is where Gradio keeps uploads.

    `hosts` are names of the page beside `localhost`, addresses and this machine's own; `framers` are origins of pages
    that may show it in a frame; `root` is the path before all others, which a proxy may have taken off.
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
        limits: ServerLimits = USUAL,
    ) -> None:
        self._app, self._uploads, self._hops = app, Uploads(folder, limits), trusted_hops
        self._hosts, self._root, self._busy = Hosts(hosts, trusted_hops), root, busy
        self._limits = limits
        self._headers = _HEADERS | {"Content-Security-Policy": " ".join(["frame-ancestors", *(framers or ["'none'"])])}
        self._a_minute = {"upload": limits.uploads_per_minute, "call": limits.calls_per_minute, "error": 20}
        self._places = {
            "stream": (limits.streams, "clips are watched"),
            "heartbeat": (limits.heartbeats, "pages are open"),
            "upload": (limits.uploads, "photos are on their way"),
        }
        self._open: Counter[tuple[str, str]] = Counter()
        self._times: dict[tuple[str, str], deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "lifespan":
            async with self._uploads.tidied():
                await self._app(scope, receive, send)
            return
        peer, port = scope.get("client") or ("", 0)
        headers = MutableHeaders(raw=list(scope["headers"]))
        who = visitor(peer, ", ".join(headers.getlist("x-forwarded-for")), self._hops)
        path = scope["path"]
        if self._root and path.startswith(f"{self._root}/"):
            path = path[len(self._root) :]
        # Whoever asks for the address behind this gets the visitor's.
        scope = {**scope, "client": (who, port), "path": path, "headers": headers.raw}
        asked, query = f"{scope['method']} {path}", scope["query_string"]
        kind = next((kind for kind, route in _ROUTES.items() if re.fullmatch(route, asked)), "")
        if kind == "info":
            # Without this Gradio tells everybody the host that the first caller claimed to have reached.
            scope["query_string"] = query + b"&page="
        live = kind in ("stream", "heartbeat")
        kept = self._headers | ({"Cache-Control": "no-store"} if live or kind == "file" else {})
        # Else nginx keeps an event until it has some kilobytes of them.
        kept |= {"X-Accel-Buffering": "no"} if live else {}
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(kept)
            await send(message)

        try:
            self._hosts.check(headers, acts=kind in ("call", "upload"))
            if self._root and path == self._root:
                await RedirectResponse(f"{self._root}/")(scope, receive, answer)
                return
            if not kind or "deep_link" in parse_qs(query.decode("latin-1"), keep_blank_values=True):
                raise HttpRefusal(404, "There is nothing here.")
            if kind in self._a_minute:
                self._count(kind, who)
            if kind == "call" and self._busy(who) >= (most := self._limits.concurrent_calls):
                raise HttpRefusal(429, f"From your address {most} calls are under way: wait a little, and try again.")
            with self._place(kind, who):
                if kind == "upload":
                    await self._uploads(scope, receive, answer)
                else:
                    given = await _read(receive, self._limits) if kind == "call" else receive
                    await self._app(scope, given, answer)
        except HttpRefusal as refusal:
            told = JSONResponse({"detail": str(refusal)}) if kind == "call" else PlainTextResponse(str(refusal))
            told.status_code = refusal.status
            await told(scope, receive, answer)
        except Exception:
            if not started:
                await PlainTextResponse("Something went wrong here.", 500)(scope, receive, answer)
            # Gradio fails at much that anybody can ask for; the log has the first of these in a minute.
            with suppress(HttpRefusal):
                self._count("error", "")
                raise

    @contextmanager
    def _place(self, kind: str, who: str) -> Iterator[None]:
        kind = kind if kind in self._places else ""
        most, what = self._places.get(kind, (self._limits.requests, "requests are open"))
        if self._open[kind, who] >= most:
            raise HttpRefusal(429, f"From your address {most} {what} already: wait for one to end, and try again.")
        self._open[kind, who] += 1
        try:
            yield
        finally:
            self._open[kind, who] -= 1
            if not self._open[kind, who]:
                del self._open[kind, who]

    def _count(self, kind: str, who: str) -> None:
        now = time.monotonic()
        # Put back at the end, so that the first is who has been away for longest.
        times = self._times[kind, who] = self._times.pop((kind, who), deque())
        while times and times[0] <= now - 60:
            times.popleft()
        first = next(iter(self._times))
        if len(self._times) > self._limits.visitors or (self._times[first] and self._times[first][-1] <= now - 60):
            del self._times[first]
        if len(times) >= self._a_minute[kind]:
            raise HttpRefusal(429, f"There were {len(times)} {kind}s within a minute: wait a little, and try again.")
        times.append(now)


async def _read(receive: Receive, limits: ServerLimits) -> Receive:
    """A body that fits, read to its end."""
    whole = bytearray()
    async for data in body(receive, what="request", seconds=limits.call_seconds):
        whole += data
        if len(whole) > limits.call_bytes:
            raise HttpRefusal(413, f"A request is at most {limits.call_bytes // 1000} kB.")
    given = iter([{"type": "http.request", "body": bytes(whole)}])

    async def again() -> Message:
        return next(given, None) or await receive()

    return again


def uploaded(path: str, folder: Path) -> Path:
    """An upload by the path that a request names, which can be any. Raises `ImageRejected`."""
    # A path can be no path at all: with a null byte, too long, a circle of links.
    with suppress(OSError, ValueError, RuntimeError):
        found = Path(path).resolve()
        if found.is_relative_to(folder.resolve()) and found.is_file():
            return found
    raise ImageRejected("The portrait is no longer here: choose it again.")
