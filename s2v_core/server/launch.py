"""Around the page: the same for programs, in three calls, and the web server with its guard, from start to end."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import gradio as gr
from gradio.data_classes import FileData
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from s2v_core import wire
from s2v_core.errors import ImageRejected, InputRejected, S2VError, SettingsError
from s2v_core.jobs.studio import Studio
from s2v_core.page import cards
from s2v_core.page.orders import Order, Orders, report
from s2v_core.server.compression import Compression
from s2v_core.server.connections import Connections
from s2v_core.server.guard import Guard
from s2v_core.server.limits import USUAL, ServerLimits
from s2v_core.server.signals import AWAITED, heard
from s2v_core.server.start import aside
from s2v_core.server.streams import Sessions, StreamGrace
from s2v_core.settings import Key, Settings

ASSETS, CACHE = Path(__file__).parent / "assets", Path(get_upload_folder())
PORTRAITS = ASSETS / "portraits"
_NOT_UPLOADED = "The photo is not an upload: send the file itself, or a public https link as photo_url."


def who(request: gr.Request) -> str:
    """The login, where there is one, else the address, which the guard has made sure of."""
    return request.username or str(request.client.host)


class Page(gr.Blocks):
    """Blocks whose events end in words, whatever goes wrong in them or around them.

    `ending` makes of an error, an event and its session what the page shows then; a program gets the sentence.
    """

    ending: Callable[[Exception, Any, Any], Awaitable[dict[Any, Any]]]

    async def process_api(self, block_fn: Any, inputs: list[Any], **around: Any) -> dict[str, Any]:
        # What comes last may be left out: Gradio knows the defaults, and does not fill them in.
        inputs = [*inputs, *(block.value for block in block_fn.inputs[len(inputs) :])]
        try:
            _check_files(inputs)
            return await super().process_api(block_fn, inputs, **around)
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, S2VError):
                report(error)
            if block_fn.api_visibility == "public":
                raise gr.Error(cards.sentence(error), print_exception=False) from None
            self._drop_run_streams(around["session_hash"], around["iterator"])
            instead = copy(block_fn)
            instead.fn, instead.inputs = partial(self.ending, error, block_fn, around["state"]), []
            return await super().process_api(instead, [], **around | {"iterator": None})


def _check_files(inputs: list[Any]) -> None:
    """Gradio opens a file of any name, and fetches a URL, where an event has something like an upload in it."""
    folder = os.path.abspath(CACHE)
    left: list[Any] = [inputs]
    while left:
        match left.pop():
            case {"path": path} if not (isinstance(path, str) and Path(os.path.abspath(path)).is_relative_to(folder)):
                raise ImageRejected(_NOT_UPLOADED)
            case dict() as found:
                left += found.values()
            case list() as found:
                left += found


def offer(orders: Orders, studio: Studio) -> None:
    """Within `gr.Blocks`: adds `/submit`, `/status` and `/clip`."""

    async def submit(
        photo: FileData | None = None,
        prompt: str = "",
        prompt_optimizer: bool = True,
        photo_url: str = "",
        consent: bool = False,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Make a clip of a portrait and a sentence; the answer's ticket is what /status and /clip take.

        Args:
            photo: a JPEG, PNG or WebP file with one clear human face.
            prompt: what the person does, and where; at most 2000 characters.
            prompt_optimizer: whether the service may rewrite the prompt.
            photo_url: a public https link, in place of the photo; it is passed on unopened.
            consent: that you have the right to use this face; the live service needs it.
        """
        text = request.headers.get("x-s2v-key")
        order = Order(
            photo=_path(photo),
            link=_text(photo_url, "photo_url"),
            prompt=_text(prompt, "prompt"),
            prompt_optimizer=prompt_optimizer,
            consent=consent,
            service="own" if text else studio.default_service.name,
            key=Key(text) if text else None,
            visitor=who(request),
        )
        return cards.as_json(await orders.order(order))

    async def status(ticket: str) -> dict[str, Any]:
        """A job as it stands: its state, whether it was charged, the seconds since it began, and words for people.

        Args:
            ticket: from /submit.
        """
        return cards.as_json(await studio.job(_text(ticket, "ticket")))

    async def clip(ticket: str) -> FileData:
        """The finished clip, an MP4.

        Args:
            ticket: from /submit.
        """
        job = await studio.job(_text(ticket, "ticket"))
        if path := await orders.clip(job):
            return FileData(path=path)
        raise InputRejected(job.what or f"There is no clip: the job is {job.state}.")

    for call in (submit, status, clip):
        gr.api(call, api_name=call.__name__, concurrency_limit=None)


def _path(photo: Any) -> str:
    if photo and not (isinstance(photo, dict) and isinstance(photo.get("path"), str)):
        raise ImageRejected(_NOT_UPLOADED)
    return photo["path"] if photo else ""


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str | None):
        raise InputRejected(f"{name} must be text.")
    return value or ""


async def _manifest(_: Request) -> JSONResponse:
    """As Gradio's, which names an icon that is not there; the names are relative, for a page below a path."""
    icon = {"src": "favicon.ico", "sizes": "any", "type": "image/svg+xml"}
    return JSONResponse({"name": "S2V Studio", "icons": [icon], "start_url": "./", "display": "standalone"})


class _Holder(StateHolder):
    """Gradio's; its own bound lets the first page go before the calls of a stranger that came later."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self._sessions = sessions

    def __getitem__(self, session_id: str) -> SessionState:
        self._sessions.use(session_id)
        return super().__getitem__(session_id)


def _bound(blocks: gr.Blocks, sessions: Sessions) -> None:
    """Gradio keeps a session for each call, some things of it for ever: `sessions` says which of them go."""
    blocks.state_session_capacity = blocks._queue.pending_messages_per_session.max_size = sys.maxsize
    # Numbers that nobody can ask for, made anew of 10,000 calls after each.
    blocks._queue.ANALYTICS_MAX_EVENTS = 0
    blocks.app.state_holder = _Holder(sessions)
    blocks.app.state_holder.set_blocks(blocks)


def _forget(blocks: gr.Blocks, session: str) -> None:
    queue, states, cancelled = blocks._queue, blocks.state_holder, blocks.app.iterators_to_reset
    if len(cancelled) > 1000:
        cancelled.clear()
    for number in queue.pending_event_ids_session.pop(session, ()):
        if event := queue.event_ids_to_events.get(number):
            event.alive = False
    kept = (states.session_data, states.time_last_used, queue.pending_messages_per_session)
    for each in (*kept, blocks.pending_streams, blocks.pending_diff_streams):
        each.pop(session, None)


def serve(
    demo: gr.Blocks, studio: Studio, settings: Settings, theme: gr.themes.Base, limits: ServerLimits = USUAL
) -> None:
    """Until a signal ends it; what keeps it from starting ends the process with its sentence."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("s2v_core").setLevel(logging.INFO)
    # Else uvicorn believes whatever address a client on this machine claims.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    # Else `launch` does not return, and nobody hears a signal.
    os.environ.pop("GRADIO_DEBUG", None)
    # `launch` asks this server for its page, which no proxy can reach.
    around = [getproxies().get("no", ""), "127.0.0.1", "localhost", os.environ.get("GRADIO_SERVER_NAME", "")]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, around))
    loops: list[asyncio.AbstractEventLoop] = []
    failed: list[Exception] = []
    sessions, connections = Sessions(lambda session: _forget(demo, session), most=limits.sessions), Connections()

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        _bound(demo, sessions)
        loops.append(asyncio.get_running_loop())
        try:
            await studio.__aenter__()
        except (S2VError, OSError) as error:
            failed.append(error)
        yield

    def busy(who: str) -> int:
        return sum(event.request.client.host == who for event in demo._queue.event_ids_to_events.values())

    guard = Middleware(
        Guard,
        folder=CACHE,
        hosts=(*settings.hosts, settings.space_host, os.environ.get("GRADIO_SERVER_NAME", "").lower()),
        framers=settings.framers,
        root=urlsplit(os.environ.get("GRADIO_ROOT_PATH", "")).path.rstrip("/"),
        trusted_hops=settings.trusted_hops,
        busy=busy,
        limits=limits,
    )
    sheets = (ASSETS / "page.css", *sorted((ASSETS / "parts").glob("*.css")))
    launch = partial(
        demo.launch,
        theme=theme,
        head=f"<style>{''.join(sheet.read_text('utf-8') for sheet in sheets)}</style>",
        js=(ASSETS / "page.js").read_text("utf-8"),
        favicon_path=ASSETS / "favicon.svg",
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        max_threads=1000,
        max_file_size=wire.PHOTO_BYTES,
        # Else Gradio takes the next one, where this is taken.
        server_port=int(os.environ["GRADIO_SERVER_PORT"]) if "GRADIO_SERVER_PORT" in os.environ else None,
        prevent_thread_lock=True,
        ssr_mode=False,  # else a proxy of Gradio's own stands before the guard
        app_kwargs={
            "lifespan": lifespan,
            "middleware": [guard, Middleware(StreamGrace, sessions, limits.stream_pause), Middleware(Compression)],
            "routes": [Route("/manifest.json", _manifest)],
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
    )

    async def run() -> None:
        stop = asyncio.Event()
        with heard(asyncio.get_running_loop(), stop.set, awaited=AWAITED, end=lambda: 0):
            try:
                await asyncio.to_thread(launch)
            except OSError:
                raise SettingsError(
                    "GRADIO_SERVER_PORT: the page cannot be served there; the port is taken, or GRADIO_SERVER_NAME "
                    "is no address of this machine."
                ) from None
            demo.server.config.http_protocol_class = connections
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


async def _end(studio: Studio) -> None:
    studio.stop_admitting()
    await studio.__aexit__()
