"""The page, top to bottom: words, layout, wiring. What the browser hides protects nothing: handlers check it all."""

import asyncio
import filecmp
import logging
import re
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from s2v_core import wire
from s2v_core.errors import Charge, ImageRejected, InputRejected, S2VError, SettingsError, UnknownTicket
from s2v_core.images import Photo, public_link
from s2v_core.jobs import UNDER_WAY, Job, Stage, State
from s2v_core.settings import Settings
from s2v_core.simulator import Simulator
from s2v_core.studio import Service, Studio

ASSETS = Path(__file__).parent / "assets"
PORTRAITS = ASSETS / "portraits"
SAMPLES = (
    ("Eileen Collins, astronaut", "astronaut.png", "She looks up at the night sky and smiles, stars in her visor."),
    ("Grace Hopper, US Navy", "grace_hopper.jpg", "She turns from a humming computer and nods, warm lamp light."),
    ("A gardener", "gardener.jpg", "She lifts a flower to the morning sun and laughs, slow push in."),
    ("A sailor", "sailor.jpg", "He looks out over a rough sea, wind and spray, golden hour."),
)
IDEAS = ("walks through rain", "laughs in a café", "slow push in", "golden hour")
TITLES = {
    State.QUEUED: "Preparing",
    State.SENDING: "Sending",
    State.FETCHING: "Saving",
    State.DONE: "Your clip is ready",
    State.FAILED: "The service gave up on this clip",
    State.REFUSED: "No clip, and no charge",
    State.UNKNOWN: "We do not know whether this was charged",
    State.CANCELLED: "Cancelled",
}

try:
    settings = Settings.from_environment()
    studio = Studio(settings, simulator=Simulator(settings.data_dir / "simulator", seconds=settings.simulator_seconds))
except SettingsError as error:
    print(error, file=sys.stderr)
    raise SystemExit(2) from None


def called(service: Service) -> str:
    return "SIMULATOR" if service.name == "simulator" else service.label


def price(service: Service) -> str:
    if service.price is None:
        return f"priced by {service.label}"
    return f"{service.price / 1000:g} PTC" if service.price else "free"


def pill(service: Service) -> str:
    if len(studio.services) == 1:
        return f"{called(service)} · free, nothing leaves this machine"
    return called(service) + {None: "", 0: " · free"}.get(service.price, f" · {price(service)} a clip")


def patience(service: Service) -> str:
    return "about ten seconds" if service.name == "simulator" else "one to four minutes, or more"


def card(state: str, title: str, line: str = "", **more: Any) -> dict[str, Any]:
    """What status.js shows, as plain text: it is escaped there, and nowhere else."""
    usual = {"charge": Charge.NONE, "running": False, "seconds": [], "ending": [], "facts": None, "stage": []}
    return {"state": state, "title": title, "line": line, "ticket": "", **usual, **more}


def waiting(service: Service) -> dict[str, Any]:
    stage = ["Your clip plays here", f"{wire.CLIP_SIZE[0]} × {wire.CLIP_SIZE[1]}, six seconds"]
    line = f"Choose a portrait, say what happens. It takes {patience(service)}."
    return card("idle", "Ready when you are", line, stage=stage)


def rejected(error: S2VError) -> dict[str, Any]:
    """The ending of a click from which no job came."""
    advice = error.advice or "Put that right and click again; what you entered is still here."
    rows = ending(error.what, error.charge, "", advice)
    return card(State.REFUSED, "This cannot be done yet", charge=error.charge, ending=rows, facts=[])


def ending(what: str, charge: Charge, ticket: str, advice: str) -> list[tuple[str, str]]:
    rows = (("What happened", what), ("Charged?", charge.sentence), ("Ticket", ticket), ("What to do", advice))
    return [(term, text) for term, text in rows if text]


def progress(job: Job) -> dict[str, Any]:
    """A job as it stands, in words."""
    service = Service(job.service, job.provider, job.amount)
    paid = bool(job.task_id) and job.charge is Charge.SPENT
    title, line, facts, rows = TITLES.get(job.state, "Rendering"), "", [], []
    if job.state is State.DONE:
        line = "Simulated from your photo." if service.name == "simulator" else "Download it to keep it."
        taken = "prompt improved" if job.prompt_optimizer else "taken literally"
        took = int(job.seconds.get(Stage.RENDER, 0))
        # status.js fills the empty one in with what the clip says of itself.
        facts = [f"rendered in {took // 60}:{took % 60:02}", "", taken, price(service)]
        if not job.clip:
            rows = ending("The clip was deleted here.", job.charge, job.ticket, "Make another.")
    elif job.state in UNDER_WAY:
        line = f"{patience(service).capitalize()}. You can close this tab: the ticket brings it back."
        if job.state is State.RENDERING:
            title = "Rendering" if Stage.RENDER in job.began else "Waiting in the queue"
            line = f"{called(service)}: {job.status}. {line}" if job.status else line
        if job.overdue:
            line = "Overdue, longer than 20 minutes, and still asked for. The ticket brings it back."
        line = job.waits or line
        facts = [called(service), f"{price(service)} spent" if paid and service.price else price(service)]
    else:
        if job.state is State.UNKNOWN and job.charge is Charge.NONE:
            title = "The service did not answer"
        rows = ending(job.what, job.charge, job.ticket, job.advice or "Make another when you like.")
    return card(
        job.state,
        title,
        line,
        charge=job.charge,
        running=job.state in UNDER_WAY,
        seconds=list(job.seconds.items()),
        ending=rows,
        ticket=job.ticket,
        task=job.task_id,
        facts=facts,
        stage=["Paid, on its way" if paid else "On its way", ""],
    )


def chosen(photo: dict[str, Any] | None, link: str, kept: dict[str, str]) -> str | Path | Photo:
    """The upload, the JPEG that was made of it before, or the link. A forged request can name any file as either."""
    if link := link.strip():
        if photo:
            raise ImageRejected("There is a portrait and a link: remove one of them.")
        return public_link(link)
    if not photo:
        raise ImageRejected("There is no portrait yet: drop one, take one, or try a sample.")
    path, uploads = Path(photo.get("path") or "").resolve(), Path(demo.GRADIO_CACHE).resolve()
    if (made := Path(kept.get(str(path), ""))).is_file():
        return Photo(made.read_bytes(), 0, 0)
    if not path.is_relative_to(uploads) or not path.is_file():
        raise ImageRejected("The portrait is no longer here: choose it again.")
    return path


def discard(upload: Path) -> None:
    """An upload goes when the JPEG that is sent has been made; a sample's copy is everybody's."""
    sample = PORTRAITS / upload.name
    if not (sample.is_file() and filecmp.cmp(sample, upload, shallow=False)):
        upload.unlink(missing_ok=True)


def told(job: Job) -> dict[str, Any]:
    """A job for a program."""
    words = progress(job)
    message = " ".join(filter(None, (job.what, job.advice))) or words["line"] or words["title"]
    facts = {
        name: getattr(job, name) for name in ("ticket", "state", "charge", "service", "provider", "status", "task_id")
    }
    return facts | {"message": message, "elapsed": round(sum(job.seconds.values()), 1)}


@contextmanager
def sentences() -> Iterator[None]:
    """What goes wrong reaches a program as its sentence, and the log as nothing."""
    try:
        yield
    except S2VError as error:
        raise gr.Error(str(error), print_exception=False) from None


def shown(job: Job) -> str:
    """A copy that Gradio may serve, under a name that a person recognises."""
    words = "-".join(re.findall(r"[a-z0-9]+", job.prompt.lower())[:6])[:60]
    kind = "simulated-" if job.service == "simulator" else ""
    copy = Path(demo.GRADIO_CACHE) / secrets.token_hex(16) / f"s2v-{kind}{words or 'clip'}.mp4"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(studio.clip(job), copy)
    return str(copy)


# Gradio paints the body with these before the style sheet is there.
theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    body_background_fill="#f6f5f3",
    body_background_fill_dark="#0e0f12",
    body_text_color="#17181c",
    body_text_color_dark="#f1f1f3",
)
receivers = " and ".join(dict.fromkeys((studio.default_service.label, "MiniMax")))

with gr.Blocks(title="S2V Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
    # Nothing but tickets: whoever reads the page can read its secret.
    tickets = gr.BrowserState([], storage_key="s2v-tickets", secret="s2v-studio")
    watched = gr.State("")
    kept = gr.State({})
    with gr.Row(elem_id="header"):
        gr.HTML((ASSETS / "header.html").read_text("utf-8"), elem_id="brand", apply_default_css=False)
        service = gr.Radio(
            [(pill(each), each.name) for each in studio.services.values()],
            value=studio.default_service.name,
            label="Service for the next clip",
            elem_id="service",
        )
    with gr.Row(elem_id="columns"):
        with gr.Column(elem_id="order"):
            subject = gr.Image(
                type="filepath",
                image_mode=None,
                sources=["upload", "webcam", "clipboard"],
                label="Portrait",
                placeholder="# Drop a portrait\none clear human face\n"
                f"JPEG, PNG or WebP, under {wire.PHOTO_BYTES // 1_000_000} MB",
                alt_text="The chosen portrait",
                buttons=[],
                elem_id="subject",
            )
            with gr.Row(elem_id="samples"):
                gr.HTML("Try", elem_id="try", apply_default_css=False)
                samples = [gr.Button(title, icon=PORTRAITS / file, elem_classes="sample") for title, file, _ in SAMPLES]
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
                label=f"I have the right to use this face. It goes to {receivers}.",
                visible=studio.default_service.name == "live",
                elem_id="consent",
            )
            generate = gr.Button(
                f"Make the clip · {price(studio.default_service)}", variant="primary", elem_id="generate"
            )
        with gr.HTML(
            waiting(studio.default_service),
            html_template=(ASSETS / "status.html").read_text("utf-8"),
            js_on_load=(ASSETS / "status.js").read_text("utf-8"),
            apply_default_css=False,
            elem_id="status",
        ) as status:
            clip = gr.Video(label="Your clip", loop=True, autoplay=True, buttons=[], interactive=False, elem_id="clip")
            download = gr.DownloadButton("Download", elem_id="download")
            stop = gr.Button("Stop watching", visible=False, elem_id="stop")
    with gr.Accordion("Recover a clip by its ticket", open=False, elem_id="recovery"):
        ticket = gr.Textbox(label="Ticket", placeholder="s2v_…", max_lines=1, elem_id="ticket")
        recover = gr.Button("Recover", elem_id="recover")
    foot = f"MiniMax {wire.MODEL} through {wire.provider(wire.BASE_URL)}: {wire.price_words(wire.BASE_URL)}."
    gr.HTML(foot, elem_id="foot", apply_default_css=False)

    async def follow(number: str) -> AsyncIterator[dict[Any, Any]]:
        """Ends early without harm: the job goes on without its spectator."""
        async for job in studio.watch(number):
            words = "Cancel: nothing is spent" if job.state is State.QUEUED else "Stop watching"
            update = {status: progress(job), stop: gr.Button(words, visible=job.state in UNDER_WAY), watched: number}
            if job.state in UNDER_WAY:
                yield update
            else:
                file = await asyncio.to_thread(shown, job) if job.clip else None
                yield update | {clip: file, download: file, generate: gr.Button(interactive=True)}

    async def make(
        photo: dict[str, Any] | None,
        link: str | None,
        prompt: str | None,
        improve: bool,
        consented: bool,
        which: str,
        tickets_before: list[str] | None,
        uploads: dict[str, str],
        request: gr.Request,
    ) -> AsyncIterator[dict[Any, Any]]:
        begun = card(State.QUEUED, TITLES[State.QUEUED], running=True, seconds=[(Stage.PREPARE, 0.0)], facts=[])
        yield {status: begun, generate: gr.Button(interactive=False)}
        try:
            source = chosen(photo, link or "", uploads)
            if which == "live" and not consented:
                raise InputRejected("Not ticked yet: that you have the right to use this face.")
            job = await studio.submit(
                source, prompt or "", prompt_optimizer=bool(improve), service=which, visitor=request.client.host
            )
            if isinstance(source, Path):
                uploads[str(source)] = str(studio.photo(job))
                await asyncio.to_thread(discard, source)
            yield {tickets: newest(job.ticket, tickets_before), kept: uploads}
            async for update in follow(job.ticket):
                yield update
        except S2VError as error:
            yield {status: rejected(error), generate: gr.Button(interactive=True)}

    async def resume(tickets_before: list[str] | None) -> AsyncIterator[dict[Any, Any]]:
        """The newest job of this browser, as if the page had never been away."""
        yield {watched: ""}
        for number in list(tickets_before or []):
            with suppress(UnknownTicket):
                async for update in follow(number):
                    yield update
                return

    async def bring_back(number: str, tickets_before: list[str] | None) -> AsyncIterator[dict[Any, Any]]:
        try:
            job = await studio.fetch(number.strip())
            yield {tickets: newest(job.ticket, tickets_before), ticket: ""}
            async for update in follow(job.ticket):
                yield update
        except S2VError as error:
            yield {status: rejected(error)}

    async def leave(number: str) -> dict[Any, Any]:
        job = await studio.cancel(number)
        stopped = progress(job)
        if job.state in UNDER_WAY:
            sentence = "It keeps rendering" + ("" if job.charge is Charge.NONE else " and is already paid")
            stopped |= {"title": "Not watching", "line": f"{sentence}. The ticket brings it back.", "running": False}
        return {status: stopped, stop: gr.Button(visible=False), generate: gr.Button(interactive=True)}

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
        key = request.headers.get("x-s2v-key") or None
        with sentences():
            source = chosen(photo, photo_url, {})
            if not consent and (key or studio.default_service.name == "live"):
                raise InputRejected("The live service needs consent=True: you have the right to use this face.")
            visitor = request.client.host
            job = await studio.submit(source, prompt, prompt_optimizer=prompt_optimizer, key=key, visitor=visitor)
            if isinstance(source, Path):
                await asyncio.to_thread(discard, source)
        return told(job)

    async def state(ticket: str) -> dict[str, Any]:
        """A job as it stands: its state, whether it was charged, the seconds since it began, and words for people.

        Args:
            ticket: from /submit.
        """
        with sentences():
            return told(await studio.job(ticket))

    async def saved(ticket: str) -> FileData:
        """The finished clip, an MP4.

        Args:
            ticket: from /submit.
        """
        with sentences():
            job = await studio.job(ticket)
            if not job.clip:
                raise InputRejected(f"There is no clip: the job is {job.state}.")
            return FileData(path=await asyncio.to_thread(shown, job))

    gr.api(submit, api_name="submit", concurrency_limit=None)
    gr.api(state, api_name="status", concurrency_limit=None)
    gr.api(saved, api_name="clip", concurrency_limit=None)

    def newest(number: str, before: list[str] | None) -> list[str]:
        return [number, *(each for each in before or [] if each != number)][:20]

    private = {"show_progress": "hidden", "api_visibility": "private"}
    at_once = {**private, "queue": False}
    watching = {**private, "concurrency_limit": None}
    show = [status, clip, download, generate, stop, watched]
    resumed = demo.load(resume, tickets, show, **watching)
    recovered = recover.click(bring_back, [ticket, tickets], [*show, tickets, ticket], cancels=resumed, **watching)
    made = generate.click(
        make,
        [subject, link, prompt, optimizer, consent, service, tickets, kept],
        [*show, tickets, kept],
        preprocess=False,  # else Gradio opens the upload with every decoder that Pillow has
        cancels=[resumed, recovered],
        **watching,
    )
    stop.click(leave, watched, [status, stop, generate], cancels=[resumed, recovered, made], **at_once)
    service.change(
        lambda which: (gr.Checkbox(visible=which == "live"), f"Make the clip · {price(studio.services[which])}"),
        service,
        [consent, generate],
        **at_once,
    )
    for sample, (_, file, scene) in zip(samples, SAMPLES, strict=True):
        sample.click(lambda file=file, scene=scene: (str(PORTRAITS / file), scene), None, [subject, prompt], **at_once)
    for chip, idea in zip(ideas, IDEAS, strict=True):
        chip.click(None, prompt, prompt, js=f"(text) => s2v.add(text, {idea!r})", **private)
    gr.on(
        [demo.load, prompt.change], None, prompt, js=f"(text) => s2v.count(text, {wire.PROMPT_CHARACTERS})", **private
    )
    gr.on([demo.load, subject.change], None, subject, js="(photo) => s2v.backdrop(photo)", **private)


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
    demo.launch(
        theme=theme,
        css_paths=ASSETS / "style.css",
        js=(ASSETS / "page.js").read_text("utf-8"),
        favicon_path=ASSETS / "favicon.svg",
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        max_threads=1000,
        max_file_size=wire.PHOTO_BYTES,
        allowed_paths=[str(PORTRAITS)],
        prevent_thread_lock=True,
        app_kwargs={"lifespan": lifespan, "docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    stopped.wait()
    # Gradio ends without a word to anybody; a payment in flight gets its answer first.
    asyncio.run_coroutine_threadsafe(studio.__aexit__(), loops[0]).result(10)
