"""ASGI middleware that compresses Gradio's scripts and styles once; Gradio would do it for each request."""

import asyncio
import gzip
import re
from collections.abc import Callable

# It comes with Gradio; its best is a seventh smaller than gzip's, and takes half a second for all of the page.
import brotli  # type: ignore[import-untyped]
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .requests import whole_answer

_NAME = re.compile(r"/assets/[\w.-]+")
# The best first. Browsers take the first over HTTPS, and from their own machine.
_KINDS: dict[str, Callable[[bytes], bytes]] = {"br": brotli.compress, "gzip": gzip.compress}


class Compression:
    """For files in `/assets/`, whose names carry a hash of their content; only what is there is kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[tuple[str, str], tuple[bytes, dict[str, str]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Plain names only: with dots and slashes one file would have any number of paths, each of them kept.
        wanted = scope["type"] == "http" and scope["method"] == "GET" and _NAME.fullmatch(scope["path"])
        asked = Headers(scope=scope) if wanted else Headers()
        taken = {each.partition(";")[0].strip() for each in asked.get("accept-encoding", "").split(",")}
        kind = next((each for each in _KINDS if each in taken), "")
        if "range" in asked or not kind:
            await self._app(scope, receive, send)
            return
        which = scope["path"], kind
        if which not in self._kept:
            status, headers, body = await whole_answer(self._app, scope)
            if status != 200:
                await Response(body, status, headers)(scope, receive, send)
                return
            about = {"Content-Type": headers["content-type"], "Vary": "Accept-Encoding"}
            about |= {"Content-Encoding": kind, "Cache-Control": "public, max-age=31536000, immutable"}
            self._kept[which] = (await asyncio.to_thread(_KINDS[kind], body), about)
        body, about = self._kept[which]
        await Response(body, headers=about)(scope, receive, send)
