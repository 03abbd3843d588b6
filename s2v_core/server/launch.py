"""The web server around the page, from its start to its end."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import S2VError, SettingsError
from ..language import EnglishRecord
from ..settings import Settings
from .compression import Compression
from .connections import Connections, bounded
from .document import PICTURE, Document, Preview, sheet_path
from .guard import Guard
from .limits import USUAL, ServerLimits
from .sessions import Sessions, bound, forget
from .signals import AWAITED, heard, tell
from .start import aside
from .streams import StreamGrace
from .tickets import Tickets
from .translation import Translation

_NO_TOOLS = PlainTextResponse("Tools for assistants are not installed: pip install -r requirements-mcp.txt", 404)


class Stoppable(Protocol):
    """What is open while the page is served: the studio."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *_: object) -> None: ...

    def stop_admitting(self) -> None: ...

    def new_ticket(self) -> str: ...

    async def may_be_served(self, folder: str) -> bool: ...


class Tools(Protocol):
    """An ASGI application for programs' tools, which has to be open while it is served."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def opened(self) -> AbstractAsyncContextManager[None]: ...


class _Held:
    """Lets requests in once all is open, Gradio's own first one, for which its start waits."""

    def __init__(self, app: ASGIApp, open_now: asyncio.Event) -> None:
        self._app, self._open_now = app, open_now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._open_now.wait()
        await self._app(scope, receive, send)


def serve(
    blocks: Any,
    studio: Stoppable,
    settings: Settings,
    *,
    uploads: Path,
    preview: Preview,
    style: str,
    translation: Translation,
    early: Sequence[str] = (),
    tools: Tools | None = None,
    limits: ServerLimits = USUAL,
    **look: Any,
) -> None:
    """Serve a `gr.Blocks` until a signal ends it; what keeps it from starting ends the process with its sentence.

    `uploads` is Gradio's folder for them; the `tools` answer at `/mcp`; the `look` goes to `launch` as it is.
    """
    _prepare_environment()
    loops: list[asyncio.AbstractEventLoop] = []
    failed: list[Exception] = []
    open_now = asyncio.Event()
    sessions = Sessions(partial(forget, blocks), most=limits.sessions)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        bound(blocks, sessions)
        loops.append(asyncio.get_running_loop())
        # Not here: Gradio takes a start of over 5 seconds for a port that is taken.
        opening = asyncio.create_task(opened())
        async with tools.opened() if tools else nullcontext():
            yield
        await opening

    async def opened() -> None:
        try:
            await studio.__aenter__()
        except (S2VError, OSError) as error:
            failed.append(error)
        finally:
            open_now.set()

    middleware = [
        _guard(blocks, studio, settings, uploads, limits),
        Middleware(_Held, open_now),
        Middleware(StreamGrace, sessions, limits.stream_pause),
        Middleware(
            Tickets, studio.new_ticket, [number for number, each in blocks.fns.items() if each.api_name == "submit"]
        ),
        Middleware(Document, preview, sheet := sheet_path(style), early, translation),
        Middleware(Compression),
    ]
    routes = [
        Route("/manifest.json", partial(_manifest, preview.title)),
        Route(sheet, partial(_sheet, style)),
        Route(PICTURE, partial(_picture, preview.picture)),
        # Else a GET would be held in a stream that nothing ever comes on.
        Route("/mcp", tools or _NO_TOOLS, methods=["POST"] if tools else None),
    ]
    app = {"lifespan": lifespan, "middleware": middleware, "routes": routes}

    async def run() -> None:
        stop = asyncio.Event()
        with heard(asyncio.get_running_loop(), stop.set, awaited=AWAITED, end=_cut_off):
            try:
                with bounded(Connections()):
                    await asyncio.to_thread(_launch, blocks, look, app)
            except OSError:
                raise SettingsError(
                    "GRADIO_SERVER_PORT: the page cannot be served there; the port is taken, or GRADIO_SERVER_NAME "
                    "is no address of this machine."
                ) from None
            if failed:
                raise failed[0]
            os.environ.update(aside)
            await stop.wait()
            # Gradio ends without a word to anybody; a payment in flight gets its answer first.
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_end(studio), loops[0]))

    try:
        asyncio.run(run())
    except (S2VError, OSError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def _cut_off() -> int:
    tell("Ended, though something did not stop. What was begun is in the ledger, and the next start goes on with it.")
    return 0


def _prepare_environment() -> None:
    logging.setLogRecordFactory(EnglishRecord)
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("s2v_core").setLevel(logging.INFO)
    # Its lines, of which anybody can cause any number, repeat what callers send.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    # Else uvicorn believes whatever address a client on this machine claims.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    # Else `launch` does not return, and nobody hears a signal.
    os.environ.pop("GRADIO_DEBUG", None)
    # `launch` asks this server for its page, which no proxy can reach.
    around = [getproxies().get("no", ""), "127.0.0.1", "localhost", os.environ.get("GRADIO_SERVER_NAME", "")]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, around))


def _guard(blocks: Any, studio: Stoppable, settings: Settings, uploads: Path, limits: ServerLimits) -> Middleware:
    def busy(visitor: str) -> int:
        return sum(event.request.client.host == visitor for event in blocks._queue.event_ids_to_events.values())

    return Middleware(
        Guard,
        folder=uploads,
        hosts=(*settings.hosts, settings.space_host, os.environ.get("GRADIO_SERVER_NAME", "").lower()),
        framers=settings.framers,
        root=urlsplit(os.environ.get("GRADIO_ROOT_PATH", "")).path.rstrip("/"),
        trusted_hops=settings.trusted_hops,
        busy=busy,
        served=studio.may_be_served if settings.database_url else None,
        limits=limits,
    )


def _launch(blocks: Any, look: Mapping[str, Any], app: Mapping[str, Any]) -> None:
    port = os.environ.get("GRADIO_SERVER_PORT")
    blocks.launch(
        **look,
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        max_threads=1000,
        # Else Gradio takes the next one if this is taken.
        server_port=int(port) if port else None,
        prevent_thread_lock=True,
        ssr_mode=False,  # else a proxy of Gradio's own stands before the guard
        app_kwargs={**app, "docs_url": None, "redoc_url": None, "openapi_url": None},
    )


async def _manifest(title: str, _: Request) -> JSONResponse:
    """As Gradio's, which names an icon that is not there; the names are relative, for a page below a path."""
    icon = {"src": "favicon.ico", "sizes": "any", "type": "image/svg+xml"}
    return JSONResponse({"name": title, "icons": [icon], "start_url": "./", "display": "standalone"})


async def _sheet(style: str, _: Request) -> Response:
    return Response(style, media_type="text/css")


async def _picture(path: Path, _: Request) -> FileResponse:
    return FileResponse(path)


async def _end(studio: Stoppable) -> None:
    studio.stop_admitting()
    await studio.__aexit__()
