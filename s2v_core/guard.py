"""ASGI middleware before Gradio: of its paths those that the page and the HTTP interface need, within limits."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ImageRejected
from .upload import TOO_LARGE, UPLOAD_BYTES, Refusal, Upload, evict

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
    "Content-Security-Policy": "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
}
_CALL_BYTES = 64_000


class Guard:
    """`folder` is where Gradio keeps uploads."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        folder: Path,
        trusted_hops: int = 0,
        cache_bytes: int = 500_000_000,
        uploads_a_minute: int = 10,
        streams: int = 4,
        visitors: int = 10_000,
    ) -> None:
        self._app, self._folder, self._hops = app, folder, trusted_hops
        self._cache_bytes, self._uploads_a_minute, self._visitors = cache_bytes, uploads_a_minute, visitors
        # A page holds a heartbeat as long as it is open, and a stream only while it waits for a clip.
        self._places = {
            "stream": (streams, "clips are watched"),
            "heartbeat": (4 * streams, "pages are open"),
            "upload": (streams, "photos are on their way"),
        }
        self._open: Counter[tuple[str, str]] = Counter()
        self._uploads: dict[str, list[float]] = {}
        self._coming, self._evicting = 0, asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer, port = scope.get("client") or ("", 0)
        who = visitor(peer, ", ".join(Headers(scope=scope).getlist("x-forwarded-for")), self._hops)
        # Whoever asks for the address behind this gets the visitor's.
        scope = {**scope, "client": (who, port)}
        asked, query = f"{scope['method']} {scope['path']}", scope["query_string"]
        kind = next((kind for kind, route in _ROUTES.items() if re.fullmatch(route, asked)), "")
        if kind == "info":
            # Without this Gradio tells everybody the host that the first caller claimed to have reached.
            scope["query_string"] = query + b"&page="
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                kept = {"Cache-Control": "no-store"} if kind in ("file", "stream") else {}
                MutableHeaders(scope=message).update(_HEADERS | kept)
            await send(message)

        try:
            if not kind or "deep_link" in parse_qs(query.decode("latin-1"), keep_blank_values=True):
                raise Refusal(404, "There is nothing here.")
            with self._place(kind, who):
                if kind == "upload":
                    await self._upload(who, scope, receive, answer)
                else:
                    await self._app(scope, await _read(receive) if kind == "call" else receive, answer)
        except Refusal as refusal:
            told = JSONResponse({"detail": str(refusal)}) if kind == "call" else PlainTextResponse(str(refusal))
            told.status_code = refusal.status
            await told(scope, receive, answer)
        except Exception:
            if not started:
                await PlainTextResponse("Something went wrong here.", 500)(scope, receive, answer)
            raise

    @contextmanager
    def _place(self, kind: str, who: str) -> Iterator[None]:
        most, what = self._places.get(kind, (1000, "requests are open"))
        if self._open[kind, who] >= most:
            raise Refusal(429, f"From your address {most} {what} already: wait for one to end, and try again.")
        self._open[kind, who] += 1
        try:
            yield
        finally:
            self._open[kind, who] -= 1
            if not self._open[kind, who]:
                del self._open[kind, who]

    def _count(self, who: str) -> None:
        now = time.monotonic()
        # Put back at the end, so that the first is who has been away for longest.
        times = self._uploads[who] = [each for each in self._uploads.pop(who, ()) if each > now - 60]
        if len(self._uploads) > self._visitors:
            del self._uploads[next(iter(self._uploads))]
        if len(times) >= self._uploads_a_minute:
            raise Refusal(429, f"There were {len(times)} uploads within a minute: wait a little, and try again.")
        times.append(now)

    async def _upload(self, who: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._count(who)
        headers = MutableHeaders(raw=list(scope["headers"]))
        upload = Upload(receive, headers.get("content-type", ""))
        coming = int(headers.get("content-length", UPLOAD_BYTES))
        if coming > UPLOAD_BYTES:
            raise Refusal(413, TOO_LARGE)
        if self._coming + coming > self._cache_bytes:
            raise Refusal(503, "Too much is being uploaded at once: try again in a minute.")
        del headers["content-length"]
        headers["content-type"] = f"multipart/form-data; boundary={upload.boundary}"

        async def answer(message: Message) -> None:
            if not upload.refusal:
                await send(message)

        self._coming += coming
        try:
            async with self._evicting:
                await asyncio.to_thread(evict, self._folder, self._cache_bytes - self._coming)
            # Without a query: progress would be told under the new name, and kept for ever where nobody asks for it.
            await self._app({**scope, "headers": headers.raw, "query_string": b""}, upload.receive, answer)
        finally:
            self._coming -= coming
        if upload.refusal:
            raise upload.refusal


async def _read(receive: Receive) -> Receive:
    """A body that fits, read to its end."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _CALL_BYTES:
            raise Refusal(413, f"A request is at most {_CALL_BYTES // 1000} kB.")
    given = iter([{"type": "http.request", "body": bytes(body)}])

    async def again() -> Message:
        return next(given, None) or await receive()

    return again


def visitor(peer: str, forwarded: str, trusted_hops: int) -> str:
    """Whom a request counts for, whatever it claims: what the outermost of the trusted proxies saw, else the peer.

    `forwarded` is X-Forwarded-For, to which each proxy adds at the right. One visitor has a whole IPv6 /64.
    """
    hops = forwarded.split(",")
    for text in (hops[-trusted_hops] if 0 < trusted_hops <= len(hops) else peer, peer):
        with suppress(ValueError):
            address = ip_address(text.strip())
            if isinstance(address, IPv6Address) and not address.ipv4_mapped:
                return str(IPv6Network((int(address), 64), strict=False))
            return str(getattr(address, "ipv4_mapped", address))
    return peer


def uploaded(path: str, folder: Path) -> Path:
    """An upload by the path that a request names, which can be any. Raises `ImageRejected`."""
    # A path can be no path at all: with a null byte, too long, a circle of links.
    with suppress(OSError, ValueError, RuntimeError):
        found = Path(path).resolve()
        if found.is_relative_to(folder.resolve()) and found.is_file():
            return found
    raise ImageRejected("The portrait is no longer here: choose it again.")
