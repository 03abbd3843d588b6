"""The page, top to bottom: layout, handlers, wiring. What the browser hides protects nothing: the core checks all."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from s2v_core import wire, words
from s2v_core.desk import Desk, Order, limit, newest, promise
from s2v_core.errors import InputRejected, S2VError, SettingsError, UnknownTicket
from s2v_core.frontend import Frontend
from s2v_core.guard import Guard
from s2v_core.jobs import UNDER_WAY, Stage, State
from s2v_core.settings import Key, Settings
from s2v_core.simulator import Simulator
from s2v_core.studio import Studio

ASSETS, CACHE = Path(__file__).parent / "assets", Path(get_upload_folder())
PORTRAITS = ASSETS / "portraits"
SAMPLES = (
    ("Eileen Collins, astronaut", "astronaut.png", "She looks up at the night sky and smiles, stars in her visor."),
    ("Grace Hopper, US Navy", "grace_hopper.jpg", "She turns from a humming computer and nods, warm lamp light."),
    ("A gardener", "gardener.jpg", "She lifts a flower to the morning sun and laughs, slow push in."),
    ("A sailor", "sailor.jpg", "He looks out over a rough sea, wind and spray, golden hour."),
)
IDEAS = ("walks through rain", "laughs in a café", "slow push in", "golden hour")

try:
    settings = Settings.from_environment()
    simulator = Simulator(settings.data_dir / "simulator", seconds=settings.simulator_seconds)
    studio = Studio(settings, simulator=simulator, lent=CACHE)
except SettingsError as error:
    print(error, file=sys.stderr)
    raise SystemExit(2) from None
desk = Desk(studio, settings, CACHE)
first = studio.default_service.name


def small(portrait: str) -> Path:
    """A sample as its button shows it."""
    return (PORTRAITS / "small" / portrait).with_suffix(".jpg")


def part(name: str, value: Any = None) -> gr.HTML:
    """A part of the page with a template and a script of its own, which fills the value in as text."""
    script = ASSETS / f"{name}.js"
    return gr.HTML(
        value,
        html_template=(ASSETS / f"{name}.html").read_text("utf-8"),
        js_on_load=script.read_text("utf-8") if script.is_file() else None,
        apply_default_css=False,
        elem_id=name,
    )


@contextmanager
def sentences() -> Iterator[None]:
    """What goes wrong reaches a program as its sentence, and the log as nothing."""
    try:
        yield
    except S2VError as error:
        raise gr.Error(str(error), print_exception=False) from None


def who(request: gr.Request) -> str:
    """The login, where there is one, else the address, which the guard has made sure of."""
    return request.username or str(request.client.host)


# Gradio paints the body with these before the style sheet is there.
theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    body_background_fill="#f6f5f3",
    body_background_fill_dark="#0e0f12",
    body_text_color="#17181c",
    body_text_color_dark="#f1f1f3",
)

with gr.Blocks(title="S2V Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
    # Nothing but tickets: whoever reads the page can read its secret.
    tickets = gr.BrowserState([], storage_key="s2v-tickets", secret="s2v-studio")
    watched, own = gr.State(""), gr.State(None)
    with gr.Row(elem_id="header"):
        part("brand")
        service = gr.Radio(desk.services(studio.a_day), value=first, label="Next clip with", elem_id="service")
        with gr.Accordion("Use your key", open=False, elem_id="own-key") as own_key:
            key = gr.Textbox(
                label=f"Your key of {studio.live.label}",
                info="It stays in this server's memory, while this page is open or a clip of yours needs it.",
                type="password",
                max_lines=1,
                elem_id="key",
            )
            key_says = part("says", "")
            take = gr.Button("Use it", elem_id="take")
            forget = gr.Button("Forget it", visible=False, elem_id="forget")
    with gr.Row(elem_id="columns"):
        with gr.Column(elem_id="order"):
            subject = gr.Image(
                type="filepath",
                image_mode=None,
                sources=["upload", "webcam", "clipboard"],
                label="Portrait",
                placeholder=f"# Drop a portrait\n{limit()}",
                alt_text="The chosen portrait",
                buttons=[],
                elem_id="subject",
            )
            with part("preflight", {}) as preflight:
                crop = gr.Button("Crop to fit", elem_id="crop")
            with gr.Row(elem_id="samples"):
                gr.HTML("Try", elem_id="try", apply_default_css=False)
                samples = [gr.Button(title, icon=small(file), elem_classes="sample") for title, file, _ in SAMPLES]
            with gr.Accordion("or a public link", open=False, elem_id="by-link"):
                link = gr.Textbox(
                    label="Link to a portrait",
                    info="Passed on to the service and never opened here. It cannot be checked before it costs.",
                    placeholder="https://",
                    elem_id="link",
                )
            prompt = gr.Textbox(
                label="Scene",
                lines=3,
                max_lines=8,
                placeholder="She looks up from a book and smiles, warm evening light.",
                elem_id="prompt",
            )
            with gr.Row(elem_id="ideas"):
                ideas = [gr.Button(idea, elem_classes="idea") for idea in IDEAS]
            optimizer = gr.Checkbox(
                value=True,
                label="Improve my prompt",
                info="The service rewrites it; off = taken literally",
                elem_id="optimizer",
            )
            consent = gr.Checkbox(
                label=promise(settings, studio.live.label), visible=first != "simulator", elem_id="consent"
            )
            generate = gr.Button(f"Make the clip · {desk.price(first)}", variant="primary", elem_id="generate")
        with part("status", words.waiting(first)) as status:
            clip = gr.Video(label="Your clip", loop=True, autoplay=True, buttons=[], interactive=False, elem_id="clip")
            likeness = part("likeness", {})
            with gr.Row(elem_id="after"):
                stop = gr.Button("Stop watching", elem_id="stop")
                again = gr.Button("Use again", elem_id="again")
                download = gr.DownloadButton("Download", elem_id="download")
                delete = gr.Button("Delete now", elem_id="delete")
    history = part("history", {"clips": []})
    with gr.Accordion("Recover a clip by its ticket", open=False, elem_id="recovery"):
        ticket = gr.Textbox(label="Ticket", placeholder="s2v_…", max_lines=1, elem_id="ticket")
        recover = gr.Button("Recover", elem_id="recover")
    part("foot", {"price": wire.price_words(wire.BASE_URL), "key": first == "live", "provider": studio.live.label})

    async def inspect(photo: dict[str, Any] | None, cropped: bool) -> dict[Any, Any]:
        if not photo:
            return {preflight: {}}
        if desk.made(photo.get("path") or ""):
            return {preflight: gr.skip()}
        path, said = await desk.inspect(photo.get("path") or "", crop=cropped)
        return {preflight: said} | ({subject: path} if path else {})

    async def sample(file: str, scene: str) -> dict[Any, Any]:
        path, said = await desk.show(PORTRAITS / file)
        return {subject: path, preflight: said, prompt: scene}

    def playing(file: str | None) -> dict[Any, Any]:
        return {clip: file, download: file}

    async def follow(number: str) -> AsyncIterator[dict[Any, Any]]:
        """Ends early without harm: the job goes on without its spectator."""
        async for job, card in desk.watch(number):
            update: dict[Any, Any] = {status: card, watched: number}
            if job.state in UNDER_WAY:
                label = "Cancel: nothing is spent" if job.state is State.QUEUED else "Stop watching"
                yield update | {stop: label, likeness: {}} | playing(None)
                continue
            pictures = await desk.pictures(job) if job.clip else {}
            file = str(await asyncio.to_thread(studio.shelf.lend, job)) if job.clip else None
            yield update | playing(file) | {likeness: pictures, generate: gr.Button(interactive=True)}

    async def around(numbers: list[str], key: Key | None, request: gr.Request) -> dict[Any, Any]:
        """What a job changes beside its card."""
        return {history: await desk.cards(numbers), service: gr.Radio(await desk.choices(who(request), key))}

    async def make(
        photo: dict[str, Any] | None,
        link: str,
        prompt: str,
        optimizer: bool,
        consent: bool,
        service: str,
        key: Key | None,
        known: list[str] | None,
        request: gr.Request,
    ) -> AsyncIterator[dict[Any, Any]]:
        begun = words.card(State.QUEUED, "Preparing", running=True, seconds=[(Stage.PREPARE, 0.0)])
        yield {status: begun, generate: gr.Button(interactive=False)}
        try:
            order = Order(
                photo=(photo or {}).get("path") or "",
                link=link or "",
                prompt=prompt or "",
                prompt_optimizer=bool(optimizer),
                consent=bool(consent),
                service=service,
                key=key,
                visitor=who(request),
            )
            job = await desk.order(order)
            numbers = newest(job.ticket, known)
            yield {tickets: numbers} | await around(numbers, key, request)
            async for update in follow(job.ticket):
                yield update
            yield await around(numbers, key, request)
        except S2VError as error:
            yield {status: words.rejected(error), generate: gr.Button(interactive=True)}

    async def resume(known: list[str] | None, key: Key | None, request: gr.Request) -> AsyncIterator[dict[Any, Any]]:
        """The newest job of this browser, as if the page had never been away."""
        yield {watched: ""} | await around(known or [], key, request)
        for number in list(known or []):
            with suppress(UnknownTicket):
                async for update in follow(number):
                    yield update
                yield await around(known or [], key, request)
                return

    async def bring_back(
        number: str, known: list[str] | None, key: Key | None, request: gr.Request
    ) -> AsyncIterator[dict[Any, Any]]:
        try:
            job = await studio.fetch(number.strip())
            numbers = newest(job.ticket, known)
            yield {tickets: numbers, ticket: ""} | await around(numbers, key, request)
            async for update in follow(job.ticket):
                yield update
            yield await around(numbers, key, request)
        except S2VError as error:
            yield {status: words.rejected(error)}

    async def open_card(event: gr.EventData) -> AsyncIterator[dict[Any, Any]]:
        with suppress(UnknownTicket):
            async for update in follow(str(event.ticket)):
                yield update

    async def leave(number: str) -> dict[Any, Any]:
        job = await studio.cancel(number)
        card = desk.card(job) if job.ended else desk.card(job) | words.left(job)
        return {status: card, generate: gr.Button(interactive=True)}

    async def remove(number: str, seen: str, known: list[str] | None) -> dict[Any, Any]:
        update: dict[Any, Any] = {}
        with suppress(UnknownTicket):
            job = await studio.delete(number)
            if number == seen:
                update = {status: desk.card(job), likeness: {}} | playing(None)
        numbers = [each for each in known or [] if each != number]
        return update | {tickets: numbers, history: await desk.cards(numbers)}

    async def remove_seen(seen: str, known: list[str] | None) -> dict[Any, Any]:
        return await remove(seen, seen, known)

    async def remove_card(seen: str, known: list[str] | None, event: gr.EventData) -> dict[Any, Any]:
        return await remove(str(event.ticket), seen, known)

    async def use_again(number: str) -> dict[Any, Any]:
        """Photo, scene and switch as they were, as far as they are still here."""
        try:
            job = await studio.job(number)
            photo = studio.photo(job)
            filled = {subject: None, preflight: {}, link: photo}
            if isinstance(photo, Path):
                path, said = await desk.show(photo)
                filled = {subject: path, preflight: said, link: ""}
            return filled | {prompt: job.prompt, optimizer: job.prompt_optimizer}
        except S2VError as error:
            return {status: words.rejected(error)}

    async def offered(key: Key | None, request: gr.Request) -> dict[Any, Any]:
        """What a key that came or went changes: the services of the next click, and the pill."""
        return {
            own: key,
            key_says: "",
            own_key: gr.Accordion(label=key.mask if key else "Use your key", open=False),
            forget: gr.Button(visible=bool(key)),
            service: gr.Radio(await desk.choices(who(request), key), value="own" if key else first),
        }

    async def take_key(text: str, request: gr.Request) -> dict[Any, Any]:
        """Out of the box and into memory; jobs that waited for it go on."""
        try:
            taken = Key(text.strip())
            studio.hold(taken.text)
        except SettingsError as error:
            return {key: "", key_says: f"This cannot be a key: {error}"}
        return {key: ""} | await offered(taken, request)

    async def drop_key(request: gr.Request) -> dict[Any, Any]:
        return await offered(None, request)

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
        with sentences():
            text = request.headers.get("x-s2v-key")
            order = Order(
                photo=(photo or {}).get("path") or "",
                link=photo_url,
                prompt=prompt,
                prompt_optimizer=prompt_optimizer,
                consent=consent,
                service="own" if text else first,
                key=Key(text) if text else None,
                visitor=who(request),
            )
            return words.told(await desk.order(order))

    async def state(ticket: str) -> dict[str, Any]:
        """A job as it stands: its state, whether it was charged, the seconds since it began, and words for people.

        Args:
            ticket: from /submit.
        """
        with sentences():
            return words.told(await studio.job(ticket))

    async def saved(ticket: str) -> FileData:
        """The finished clip, an MP4.

        Args:
            ticket: from /submit.
        """
        with sentences():
            job = await studio.job(ticket)
            if not job.clip:
                raise InputRejected(f"There is no clip: the job is {job.state}.")
            return FileData(path=str(await asyncio.to_thread(studio.shelf.lend, job)))

    gr.api(submit, api_name="submit", concurrency_limit=None)
    gr.api(state, api_name="status", concurrency_limit=None)
    gr.api(saved, api_name="clip", concurrency_limit=None)

    private = {"show_progress": "hidden", "api_visibility": "private"}
    at_once = {**private, "queue": False}
    watching = {**private, "concurrency_limit": None}
    # Else Gradio opens the upload with every decoder that Pillow has.
    unopened = {**watching, "preprocess": False}
    ready = [subject, preflight]
    shown = [status, clip, download, likeness, generate, stop, watched]
    beside = [history, service]
    # Not `input`, which still carries the photo that has just been taken away.
    subject.change(inspect, [subject, gr.State(False)], ready, **unopened)
    crop.click(inspect, [subject, gr.State(True)], ready, **unopened)
    for button, (_, file, scene) in zip(samples, SAMPLES, strict=True):
        button.click(partial(sample, file, scene), None, [*ready, prompt], **watching)
    for chip, idea in zip(ideas, IDEAS, strict=True):
        chip.click(None, prompt, prompt, js=f"(text) => s2v.add(text, {idea!r})", **private)
    counted = f"(text) => s2v.count(text, {wire.PROMPT_CHARACTERS}, {wire.PROMPT_WORDS})"
    gr.on([demo.load, prompt.change], None, prompt, js=counted, **private)
    gr.on([demo.load, subject.change], None, subject, js="(photo) => s2v.backdrop(photo)", **private)

    resumed = demo.load(resume, [tickets, own], [*shown, *beside], **watching)
    recovered = recover.click(bring_back, [ticket, tickets, own], [*shown, *beside, tickets, ticket], **watching)
    opened = history.open(open_card, None, shown, cancels=[resumed, recovered], **watching)
    ordered = generate.click(
        make,
        [subject, link, prompt, optimizer, consent, service, own, tickets],
        [*shown, *beside, tickets],
        cancels=[resumed, recovered, opened],
        **unopened,
    )
    watchers = [resumed, recovered, opened, ordered]
    stop.click(leave, watched, [status, generate], cancels=watchers, **at_once)
    removed = [status, clip, download, likeness, tickets, history]
    delete.click(remove_seen, [watched, tickets], removed, **at_once)
    history.remove(remove_card, [watched, tickets], removed, **at_once)
    again.click(use_again, watched, [*ready, link, prompt, optimizer, status], **watching)

    keyed = [key, key_says, own, own_key, forget, service]
    gr.on([take.click, key.submit], take_key, key, keyed, **at_once)
    forget.click(drop_key, None, keyed, **at_once)
    service.change(
        lambda which: (gr.Checkbox(visible=which != "simulator"), f"Make the clip · {desk.price(which)}"),
        service,
        [consent, generate],
        **at_once,
    )


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    async with studio:
        loops.append(asyncio.get_running_loop())
        yield


loops: list[asyncio.AbstractEventLoop] = []

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("s2v_core").setLevel(logging.INFO)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    # Else uvicorn believes whatever address a client on this machine claims.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    icons = [small(file).name for _, file, _ in SAMPLES]
    guard = Middleware(Guard, folder=CACHE, keep=icons, trusted_hops=settings.trusted_hops)
    demo.launch(
        theme=theme,
        head=f"<style>{(ASSETS / 'style.css').read_text('utf-8')}</style>",
        js=(ASSETS / "page.js").read_text("utf-8"),
        favicon_path=ASSETS / "favicon.svg",
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        max_threads=1000,
        max_file_size=wire.PHOTO_BYTES,
        allowed_paths=[str(PORTRAITS)],
        prevent_thread_lock=True,
        ssr_mode=False,  # else a proxy of Gradio's own stands before the guard
        app_kwargs={
            "lifespan": lifespan,
            "middleware": [guard, Middleware(Frontend)],
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
    )
    stopped.wait()
    # Gradio ends without a word to anybody; a payment in flight gets its answer first.
    asyncio.run_coroutine_threadsafe(studio.__aexit__(), loops[0]).result(10)
