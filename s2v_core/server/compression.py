"""ASGI middleware that compresses Gradio's scripts and styles once; Gradio would do it for each request."""

import asyncio
import gzip
import re

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .requests import whole_answer

_NAME = re.compile(r"/assets/[\w.-]+")


class Compression:
    """For files in `/assets/`, whose names carry a hash of their content; only what is there is kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[str, tuple[bytes, dict[str, str]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Plain names only: with dots and slashes one file would have any number of paths, each of them kept.
        wanted = scope["type"] == "http" and scope["method"] == "GET" and _NAME.fullmatch(scope["path"])
        asked = Headers(scope=scope) if wanted else Headers()
        if "range" in asked or "gzip" not in asked.get("accept-encoding", ""):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path not in self._kept:
            status, headers, body = await whole_answer(self._app, scope)
            if status != 200:
                await Response(body, status, headers)(scope, receive, send)
                return
            kind = {"Content-Type": headers["content-type"], "Vary": "Accept-Encoding"}
            kind |= {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
            self._kept[path] = (await asyncio.to_thread(gzip.compress, body, 6), kind)
        body, kind = self._kept[path]
        await Response(body, headers=kind)(scope, receive, send)
