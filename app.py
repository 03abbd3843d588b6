"""The page, top to bottom: layout, handlers, wiring. What the browser hides protects nothing: the core checks all."""

# First of all: what follows reads the environment as it is imported.
from s2v_core.server.start import settings  # isort: skip

import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from s2v_core import providers
from s2v_core.errors import S2VError, SettingsError, UnknownTicket
from s2v_core.jobs.model import UNDER_WAY, State
from s2v_core.jobs.studio import Studio
from s2v_core.page import cards
from s2v_core.page.orders import Order, Orders, limit, newest, promise
from s2v_core.settings import Key
from s2v_core.simulator.service import Simulator
from s2v_core.text import PROMPT_CHARACTERS, PROMPT_WORDS
from web import ASSETS, CACHE, PORTRAITS, Page, offer, serve, who

Update = dict[Any, Any]  # what a handler changes of the page
Updates = AsyncIterator[Update]
SAMPLES = (
    ("Eileen Collins, astronaut", "astronaut.png", "She looks up at the night sky and smiles, stars in her visor."),
    ("Grace Hopper, US Navy", "grace_hopper.jpg", "She turns from a humming computer and nods, warm lamp light."),
    ("A gardener", "gardener.jpg", "She lifts a flower to the morning sun and laughs, slow push in."),
    ("A sailor", "sailor.jpg", "He looks out over a rough sea, wind and spray, golden hour."),
)
IDEAS = ("walks through rain", "laughs in a café", "slow push in", "golden hour")

try:
    simulator = Simulator(settings.data_dir / "simulator", seconds=settings.simulator_seconds)
    studio = Studio(settings, simulator=simulator, public_dir=CACHE)
except (SettingsError, OSError) as error:
    print(error if isinstance(error, SettingsError) else f"S2V_DATA_DIR: {error.strerror}.", file=sys.stderr)
    raise SystemExit(2) from None
orders = Orders(studio, settings, CACHE)
first = studio.default_service.name


def part(name: str, value: Any = None) -> gr.HTML:
    """A part of the page with a template and a script of its own, which fills the value in as text."""
    script = ASSETS / "parts" / f"{name}.js"
    return gr.HTML(
        value,
        html_template=(ASSETS / "parts" / f"{name}.html").read_text("utf-8"),
        js_on_load=script.read_text("utf-8") if script.is_file() else None,
        apply_default_css=False,
        elem_id=name,
    )


# Gradio paints the body with these before the style sheet is there.
theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    body_background_fill="#f6f5f3",
    body_background_fill_dark="#0e0f12",
    body_text_color="#17181c",
    body_text_color_dark="#f1f1f3",
)

# What stays does not lie among uploads: a folder for those can be emptied at any time.
gr.set_static_paths(PORTRAITS / "small")

with Page(title="S2V Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
    # Nothing but tickets: whoever reads the page can read its secret.
    tickets = gr.BrowserState([], storage_key="s2v-tickets", secret="s2v-studio")
    # `chosen` is one object for all events of a page: whoever watches another job sees there that it is over.
    chosen, watched, own = gr.State(SimpleNamespace(ticket="")), gr.State(""), gr.State(None)
    with gr.Row(elem_id="header"):
        part("brand")
        service = gr.Radio(orders.services(studio.per_day), value=first, label="Next clip with", elem_id="service")
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
                samples = [
                    gr.Button(title, icon=PORTRAITS / "small" / f"{Path(file).stem}.jpg", elem_classes="sample")
                    for title, file, _ in SAMPLES
                ]
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
                True,
                label="Improve my prompt",
                info="The service rewrites it; off = taken literally",
                elem_id="optimizer",
            )
            consent = gr.Checkbox(
                label=promise(settings, studio.live.label), visible=first != "simulator", elem_id="consent"
            )
            generate = gr.Button(f"Make the clip · {orders.price(first)}", variant="primary", elem_id="generate")
        with part("status", cards.idle_card(first)) as status:
            # Mounted with the first job: its scripts are two fifths of what the page loads.
            clip = gr.Video(label="Your clip", loop=True, autoplay=True, buttons=[], visible=False, elem_id="clip")
            likeness = part("likeness", {})
            with gr.Row(elem_id="after"):
                stop = gr.Button("Stop watching", elem_id="stop")
                again = gr.Button("Use again", elem_id="again")
                download = gr.DownloadButton("Download", visible=False, elem_id="download")
                delete = gr.Button("Delete now", elem_id="delete")
    history = part("history", {"clips": []})
    with gr.Accordion("Recover a clip by its ticket", open=False, elem_id="recovery"):
        ticket = gr.Textbox(label="Ticket", placeholder="s2v_…", max_lines=1, elem_id="ticket")
        recover = gr.Button("Recover", elem_id="recover")
    part(
        "foot",
        {"price": providers.price_words(settings.base_url), "key": first == "live", "provider": studio.live.label},
    )

    async def inspect(photo: dict[str, Any] | None, *, cropped: bool = False) -> Update:
        path = (photo or {}).get("path") or ""
        if orders.made(path):
            return {preflight: gr.skip()}
        shown, said = await orders.inspect(path, crop=cropped) if path else ("", {})
        return {preflight: said} | ({subject: shown} if shown else {})

    async def sample(file: str, scene: str) -> Update:
        path, said = await orders.show(PORTRAITS / file)
        return {subject: path, preflight: said, prompt: scene}

    def playing(file: str | None) -> Update:
        return {clip: gr.Video(file, visible=True), download: gr.DownloadButton(value=file, visible=True)}

    async def around(known: list[str] | None, key: Key | None, request: gr.Request) -> Update:
        """What a job changes beside its card."""
        return {history: await orders.cards(known or []), service: gr.Radio(await orders.choices(who(request), key))}

    async def show(page: SimpleNamespace, known: list[str] | None, key: Key | None, request: gr.Request) -> Updates:
        """Watches a job, and ends early without harm: the job goes on without its spectator."""
        number, state = page.ticket, None
        yield {generate: gr.Button(interactive=True)} | await around(known, key, request)
        with suppress(UnknownTicket):
            async for job, card in orders.watch(number):
                if page.ticket != number:
                    yield gr.skip()  # else Gradio says the last again at the end
                    return
                update = {status: card, watched: number, generate: gr.Button(interactive=job.state not in UNDER_WAY)}
                if job.state is not state:
                    state, update = job.state, update | await around(known, key, request)
                if job.state in UNDER_WAY:
                    label = "Cancel: nothing is spent" if job.state is State.QUEUED else "Stop watching"
                    yield update | {stop: label, likeness: {}} | playing(None)
                else:
                    file = await orders.clip(job)
                    yield update | {likeness: {}} | playing(file)
                    if file and page.ticket == number:
                        yield {likeness: await orders.pictures(job), history: await orders.cards(known or [])}

    async def make(
        photo: dict[str, Any] | None, link: str, prompt: str, optimizer: bool, consent: bool,
        service: str, key: Key | None, known: list[str] | None, page: SimpleNamespace, request: gr.Request,
    ) -> Updates:  # fmt: skip
        page.ticket = ""
        yield {status: cards.preparing_card(), generate: gr.Button(interactive=False)}
        order = Order(
            photo=(photo or {}).get("path") or "", link=link or "", prompt=prompt or "",
            prompt_optimizer=optimizer, consent=consent, service=service, key=key, visitor=who(request),
        )  # fmt: skip
        page.ticket = (await orders.order(order)).ticket
        yield {tickets: newest(page.ticket, known)}

    async def resume(known: list[str] | None, page: SimpleNamespace) -> Any:
        """The newest job of this browser, as if the page had never been away."""
        for number in known or []:
            with suppress(UnknownTicket):
                page.ticket = page.ticket or (await studio.job(number)).ticket
        return gr.skip()

    async def bring_back(number: str, known: list[str] | None, page: SimpleNamespace) -> Update:
        page.ticket = ""
        page.ticket = (await studio.resume(number.strip())).ticket
        return {tickets: newest(page.ticket, known), ticket: ""}

    def open_card(page: SimpleNamespace, event: gr.EventData) -> Any:
        page.ticket = str(event.ticket)
        return gr.skip()

    async def leave(number: str, page: SimpleNamespace) -> Update:
        page.ticket = ""
        job = await studio.cancel(number)
        card = orders.card(job) if job.ended else orders.card(job) | cards.background_card(job)
        return {status: card, generate: gr.Button(interactive=True)}

    async def remove(number: str, seen: str, known: list[str] | None) -> Update:
        update: Update = {}
        with suppress(UnknownTicket):
            job = await studio.delete(number)
            if number == seen:
                update = {status: orders.card(job), likeness: {}} | playing(None)
        numbers = [each for each in known or [] if each != number]
        return update | {tickets: numbers, history: await orders.cards(numbers)}

    async def remove_card(seen: str, known: list[str] | None, event: gr.EventData) -> Update:
        return await remove(str(event.ticket), seen, known)

    async def use_again(number: str) -> Update:
        job, said, photo, url = await orders.again(number)
        return {subject: photo, preflight: said, link: url, prompt: job.prompt, optimizer: job.prompt_optimizer}

    def priced(which: str) -> Update:
        return {consent: gr.Checkbox(visible=which != "simulator"), generate: f"Make the clip · {orders.price(which)}"}

    async def offered(key: Key | None, request: gr.Request) -> Update:
        """What a key that came or went changes: the services of the next click, and the pill."""
        return {
            own: key,
            key_says: "",
            own_key: gr.Accordion(label=key.mask if key else "Use your key", open=False),
            forget: gr.Button(visible=bool(key)),
            service: gr.Radio(await orders.choices(who(request), key), value="own" if key else first),
        }

    async def take_key(text: str, request: gr.Request) -> Update:
        """Out of the box and into memory; jobs that waited for it go on."""
        try:
            taken = Key(text.strip())
            studio.remember_key(taken.text)
        except SettingsError as error:
            return {key: "", key_says: f"This cannot be a key: {error}"}
        return {key: ""} | await offered(taken, request)

    async def ending(error: Exception, event: Any, session: Any) -> Update:
        """A card and a live button, whatever went wrong."""
        number = session[chosen._id].ticket if chosen in event.inputs else ""
        card = cards.rejection_card(error) if isinstance(error, S2VError) else cards.broken_card(number)
        return {status: card, generate: gr.Button(interactive=True)}

    demo.ending = ending
    private = {"show_progress": "hidden", "api_visibility": "private"}
    at_once = {**private, "queue": False}
    watching = {**private, "concurrency_limit": None}
    # Else Gradio opens the upload with every decoder that Pillow has.
    unopened = {**watching, "preprocess": False}
    # Outputs of all events, so that each can end there.
    ends = [status, generate]
    ready = [subject, preflight, *ends]
    # Not `input`, which still carries the photo that has just been taken away.
    subject.change(inspect, subject, ready, **unopened)
    crop.click(partial(inspect, cropped=True), subject, ready, **unopened)
    for button, (_, file, scene) in zip(samples, SAMPLES, strict=True):
        button.click(partial(sample, file, scene), None, [*ready, prompt], **watching)
    for chip, idea in zip(ideas, IDEAS, strict=True):
        chip.click(None, prompt, prompt, js=f"(text) => s2v.add(text, {idea!r})", **private)
    counted = f"(text) => s2v.count(text, {PROMPT_CHARACTERS}, {PROMPT_WORDS})"
    gr.on([demo.load, prompt.change], None, prompt, js=counted, **private)
    gr.on([demo.load, subject.change], None, subject, js="(photo) => s2v.backdrop(photo)", **private)

    shown = [status, clip, download, likeness, generate, stop, watched, history, service]
    asked = [subject, link, prompt, optimizer, consent, service, own, tickets, chosen]
    for begun in (
        demo.load(resume, [tickets, chosen], ends, **watching),
        recover.click(bring_back, [ticket, tickets, chosen], [tickets, ticket, *ends], **watching),
        history.open(open_card, chosen, ends, **watching),
        generate.click(make, asked, [tickets, *ends], **unopened),
    ):
        begun.success(show, [chosen, tickets, own], shown, trigger_mode="multiple", **watching)
    stop.click(leave, [watched, chosen], ends, **at_once)
    removed = [clip, download, likeness, tickets, history, *ends]
    delete.click(remove, [watched, watched, tickets], removed, **at_once)
    history.remove(remove_card, [watched, tickets], removed, **at_once)
    again.click(use_again, watched, [*ready, link, prompt, optimizer], **watching)

    keyed = [key, key_says, own, own_key, forget, service, *ends]
    gr.on([take.click, key.submit], take_key, key, keyed, **at_once)
    forget.click(offered, gr.State(None), keyed, **at_once)
    service.change(priced, service, [consent, *ends], **at_once)
    offer(orders, studio)


if __name__ == "__main__":
    serve(demo, studio, settings, theme)
