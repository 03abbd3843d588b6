"""The page's orders as tools of the Model Context Protocol, with `requirements-mcp.txt`. No call waits for a clip."""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from .. import __version__
from ..errors import DatabaseUnavailable, InputRejected, S2VError, report
from ..jobs.model import Job
from ..jobs.studio import Studio
from ..photo.prepare import from_data_url, is_link, prepare_async
from ..reasons import Reason
from ..settings import Key, Settings
from ..text import check_prompt
from . import cards, tools
from .gallery import Gallery
from .orders import Order, Orders, promise, text_of

_KEY = "x-s2v-key"
# Before it, a link to a file could not be said as one.
_LINKS_SINCE = "2025-06-18"


class Tools:
    """An ASGI application, to be served within `opened`; a request's client is the visitor.

    `link` makes of a served file's path a URL for whoever sent a request.
    """

    def __init__(
        self, orders: Orders, gallery: Gallery, studio: Studio, settings: Settings, link: Callable[[Path, Request], str]
    ) -> None:
        self._orders, self._gallery, self._studio, self._link = orders, gallery, studio, link
        self._promise = promise(settings, studio.services.live.label)
        server = Server(
            "s2v-studio", title="S2V Studio", version=__version__, instructions=tools.INSTRUCTIONS,
            on_list_tools=self._list, on_call_tool=self._call,
        )  # fmt: skip
        self._sessions = StreamableHTTPSessionManager(server, json_response=True, stateless=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._sessions.handle_request(scope, receive, send)

    def opened(self) -> AbstractAsyncContextManager[None]:
        return self._sessions.run()

    def _service(self, request: Request) -> str:
        return "own" if request.headers.get(_KEY) else self._studio.services.default.name

    def _described(self, request: Request) -> list[dict[str, Any]]:
        name = self._service(request)
        title, maker = self._orders.label(name, 1), self._studio.services[name].label
        return tools.described(title=title, maker=maker, promise=self._promise)

    async def _list(self, context: Any, _: object) -> types.ListToolsResult:
        return types.ListToolsResult.model_validate({"tools": self._described(context.request)})

    async def _call(self, context: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            given = tools.checked(asked.name, asked.arguments, self._described(context.request))
            if asked.name == "submit":
                return _answer(await self._submit(context.request, **given))
            job = await self._studio.job(text_of(given.get("ticket"), "ticket"))
            if asked.name == "status":
                return _answer(await self._facts(job))
            return await self._clip(job, context.request, links=context.protocol_version >= _LINKS_SINCE)
        except S2VError as error:
            charged = error.charge.sentence() if asked.name == "submit" else ""
            said = " ".join(filter(None, (error.what, charged, error.advice)))
        # Else its caller would hear nothing of the charge.
        except Exception as error:  # noqa: BLE001
            report(error)
            said = cards.sentence(error)
        return types.CallToolResult(content=[types.TextContent(text=said)], is_error=True)

    async def _submit(self, request: Request, *, photo: Any = "", prompt: Any = "", **more: Any) -> dict[str, Any]:
        key, link = request.headers.get(_KEY), is_link(photo := text_of(photo, "photo"))
        # The photo comes last: it is the one that takes work.
        order = Order(
            prompt=check_prompt(text_of(prompt, "prompt")),
            service=self._service(request),
            key=Key(key) if key else None,
            visitor=request.client.host if request.client else "",
            link=photo if link else "",
            photo="" if link else await prepare_async(from_data_url(photo)),
            **more,
        )
        return {"warnings": [*await self._orders.warnings(order)]} | await self._facts(await self._orders.order(order))

    async def _facts(self, job: Job) -> dict[str, Any]:
        typical = None
        with suppress(DatabaseUnavailable):
            typical = await self._studio.typical_durations(job)
        return tools.facts(job, typical)

    async def _clip(self, job: Job, request: Request, *, links: bool) -> types.CallToolResult:
        if not (path := await self._gallery.clip(job)):
            raise InputRejected(Reason.NO_CLIP, {"state": job.state}, advice=tools.words(job))
        file, size = Path(path), (await asyncio.to_thread(os.stat, path)).st_size
        facts = {"uri": self._link(file, request), "size": size, "mimeType": "video/mp4"}
        content: list[dict[str, Any]] = [{"type": "resource_link", "name": file.name} | facts] if links else []
        if poster := (await self._gallery.pictures(job, wait=False)).get("poster"):
            content.append({"type": "image", "data": poster.partition(",")[2], "mimeType": "image/jpeg"})
        return _answer(facts, *content)


def _answer(facts: dict[str, Any], *more: dict[str, Any]) -> types.CallToolResult:
    content = [{"type": "text", "text": json.dumps(facts, ensure_ascii=False)}, *more]
    return types.CallToolResult.model_validate({"content": content, "structuredContent": facts})
