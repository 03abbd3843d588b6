"""The page of S2V Studio: its regions with their own events, the page itself, and the events between the regions.

What the browser hides protects nothing: the core checks all.
"""

from s2v_core.server.start import start

# Before Gradio is imported, which reads the environment as it is.
settings = start()

import json
import os
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import gradio as gr
from gradio.data_classes import FileData
from gradio.route_utils import get_root_url
from gradio.utils import get_upload_folder

from s2v_core.errors import DatabaseUnavailable, InputRejected, S2VError, SettingsError, UnknownTicket
from s2v_core.jobs.model import UNDER_WAY, Job, State
from s2v_core.jobs.studio import Studio
from s2v_core.language import gettext, language, paragraph, read_in
from s2v_core.page import cards
from s2v_core.page.dropped import dropped
from s2v_core.page.examples import examples
from s2v_core.page.gallery import Gallery
from s2v_core.page.offered import CHIPS, OWN, SAMPLES, Offered
from s2v_core.page.orders import Order, Orders, kept_here, limit, path_of, promise, takes, text_of
from s2v_core.page.share import shared
from s2v_core.page.view import View
from s2v_core.providers import console, price_of_a_clip
from s2v_core.reasons import Reason
from s2v_core.server.document import Preview
from s2v_core.server.endings import end_in_words
from s2v_core.server.launch import serve
from s2v_core.server.limits import USUAL, ServerLimits
from s2v_core.server.tickets import TICKET
from s2v_core.server.translation import Translation, in_words, marked, translated, words, words_of
from s2v_core.settings import Key
from s2v_core.simulator.service import Simulator
from s2v_core.text import PROMPT_CHARACTERS, PROMPT_WORDS, in_a_line, scenes_of
from s2v_core.text import SCENES as MOST_SCENES

ASSETS, UPLOADS = Path(__file__).parent / "assets", Path(get_upload_folder())
PORTRAITS, SCRIPTS = ASSETS / "portraits", Path(gr.__file__).parent / "templates" / "frontend" / "assets"
PREVIEW = Preview(
    title="S2V Studio",
    description="One portrait and one sentence become a six-second clip of that person.",
    picture=ASSETS / "thumbnail.jpg",
)

PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# The answer of the call itself brings the outcome: it needs no stream, which a page may not get.
AT_ONCE = PRIVATE | {"queue": False}
STREAMED = PRIVATE | {"concurrency_limit": None}
# Else Gradio opens the upload with every decoder that Pillow has.
UNOPENED = AT_ONCE | {"preprocess": False}

Update: TypeAlias = dict[Any, Any]  # by component: what a handler changes of the page
Upload: TypeAlias = dict[str, Any]  # how Gradio names a file that it has not opened


def address(file: Path) -> str:
    """Of a file of ours, below whatever path the page is served at."""
    return f"gradio_api/file={file}"


def open_studio() -> Studio:
    try:
        simulator = Simulator(settings.data_dir / "simulator", seconds=settings.simulator_seconds)
        return Studio(settings, simulator=simulator, public_dir=UPLOADS)
    except (SettingsError, OSError) as error:
        print(error if isinstance(error, SettingsError) else f"S2V_DATA_DIR: {error.strerror}.", file=sys.stderr)
        raise SystemExit(2) from None


EXAMPLES = examples(ASSETS / "examples")
SHOWN = [
    {"name": each.name, "clip": address(each.clip), "poster": address(each.poster), "portrait": address(each.portrait),
     "scene": each.scene, "made_by": each.made_by, "simulated": each.simulated}
    for each in EXAMPLES
]  # fmt: skip
studio = open_studio()
orders, gallery = Orders(studio, settings, UPLOADS), Gallery(studio, settings)
FIRST = studio.services.default.name
CONSOLE, _ = console(studio.services.live.label)
# What scripts and templates say by themselves.
SAID = words_of([ASSETS / "page.js", *(ASSETS / "parts").glob("*.js"), *(ASSETS / "parts").glob("*.html")])
OFFERED = Offered(each.scene for each in EXAMPLES)


def for_browser(file: Path) -> str:
    """A script or a style sheet without the comments in it, which are a fifth of what a page gets of ours."""
    return re.sub(r"^\s*(//.*|/\*[^*]*\*/)\n", "", file.read_text("utf-8"), flags=re.MULTILINE)


def component(name: str, value: Any = None, *, elem_id: str = "", **props: Any) -> gr.HTML:
    """A part of the page with a template and a script of its own, which gets `props` and fills the value in as text."""
    script = ASSETS / "parts" / f"{name}.js"
    return gr.HTML(
        value,
        html_template=marked((ASSETS / "parts" / f"{name}.html").read_text("utf-8")),
        js_on_load=for_browser(script) if script.is_file() else None,
        apply_default_css=False,
        elem_id=elem_id or name,
        **props,
    )


def with_facts() -> dict[str, dict[str, Any]]:
    """What has facts in it as a page begins with it, by `elem_id`; in the reader's language."""
    maker, price = studio.services.live.label, price_of_a_clip(settings.base_url)
    own = gettext("A clip costs {price}, from your balance.", price=orders.price("own"))
    stays = gettext("The key stays in this server's memory, as long as this page is open or a clip of yours needs it.")
    get = gettext("Get a {provider} key", provider=maker)
    rewrites = gettext("{provider} rewrites it; the simulator does not", provider=maker)
    cost = gettext("MiniMax S2V-01 through {provider}: {price}.", provider=maker, price=price)
    credit = gettext("A PTC is {provider}’s credit.", provider=maker) if "PTC" in price else ""
    none = gettext("No key is set here, so clips are simulated: free, and marked as such.")
    real = gettext("With “Use your key” {provider} makes real ones, at your cost.", provider=maker)
    return {
        "service": {"choices": orders.services(studio.per_day)},
        "key": {"label": gettext("Your {provider} key", provider=maker), "info": paragraph(own, stays)},
        "get-key": {"value": f'<a href="{CONSOLE}" target="_blank" rel="noopener noreferrer">{get}</a>'},
        "subject": {"placeholder": f"# {gettext('Drop a portrait')}\n{limit()}"},
        "preflight": {"takes": takes()},
        "optimizer": {"info": rewrites},
        "consent": {"label": promise(settings, maker)},
        "generate": {"value": orders.label(FIRST, 1)},
        "status": {"value": cards.idle_card()},
        "history": {"value": {"clips": [], "more": 0, "at": 0, "kept": kept_here(settings)}},
        "foot": {
            "value": {"cost": paragraph(cost, credit), "key": "" if FIRST == "live" else paragraph(none, real)},
        },
    }


BEGIN = with_facts()


def visitor_of(request: gr.Request) -> str:
    """The login if there is one, else the address, which the guard has made sure of."""
    return request.username or str(request.client.host)


class Session:
    """What the browser keeps, and what the server knows of one open page."""

    def __init__(self) -> None:
        self.tickets = component("tickets", {})
        self.view = gr.State(View())
        # The number of the view's last wish; a `gr.State` would not tell the browser of it at once.
        self.wish = component("wish", 0)


class Services:
    """Who makes the next clip, and the visitor's own key."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.first = BEGIN["service"]["choices"]
        self.service = gr.Radio(self.first, value=FIRST, label="Next clip with", elem_id="service")
        with gr.Accordion("Use your key", open=False, elem_id="own-key") as self.box:
            self.key = gr.Textbox(type="password", max_lines=1, elem_id="key", **BEGIN["key"])
            self.says = component("says", "")
            gr.HTML(visible=bool(CONSOLE), elem_id="get-key", apply_default_css=False, **BEGIN["get-key"])
            take = gr.Button("Use this key", elem_id="take")
            self.forget = gr.Button("Forget this key", visible=False, elem_id="forget")
        outputs = [self.key, self.says, self.box, self.forget, self.service]
        gr.on([take.click, self.key.submit], self.take_key, [self.key, session.view], outputs, **AT_ONCE)
        self.forget.click(self.key_update, session.view, outputs, **AT_ONCE)

    async def take_key(self, text: str, view: View, request: gr.Request) -> Update:
        """Out of the box and into memory; jobs that waited for it go on."""
        if not text.strip():
            return {self.says: gettext("Paste your key into the field first.")}
        try:
            key = Key(text.strip())
            studio.remember_key(key.text)
        except SettingsError as error:
            return {self.key: "", self.says: gettext("This cannot be a key: {why}", why=error)}
        return {self.key: ""} | await self.key_update(view, request, key)

    async def key_update(self, view: View, request: gr.Request, key: Key | None = None) -> Update:
        view.key, view.choices = key, await orders.choices(visitor_of(request), key)
        return {
            self.says: "",
            self.box: gr.Accordion(label=key.mask if key else gettext("Use your key"), open=False),
            self.forget: gr.Button(visible=bool(key)),
            self.service: gr.Radio(view.choices, value="own" if key else FIRST),
        }

    async def services_update(self, view: View, request: gr.Request) -> Update:
        """With what is left today, where that has changed."""
        choices = await orders.choices(visitor_of(request), view.key)
        changed, view.choices = choices != (view.choices or self.first), choices
        return {self.service: gr.Radio(choices) if changed else gr.skip()}


class OrderForm:
    """What goes in: portrait, scene, switches, and the button that pays."""

    def __init__(self, page: gr.Blocks) -> None:
        self.photo = gr.Image(
            type="filepath",
            image_mode=None,
            sources=["upload", "webcam", "clipboard"],
            label="Portrait",
            alt_text="The chosen portrait",
            buttons=[],
            elem_id="subject",
            **BEGIN["subject"],
        )
        with component("preflight", {}, **BEGIN["preflight"]) as self.preflight:
            crop = gr.Button("Crop to fit", elem_id="crop")
            turn = gr.Button("Turn", elem_id="turn")
            face = gr.Button("Crop to the face", elem_id="face")
        with gr.Row(elem_id="samples"):
            gr.HTML("Try", elem_id="try", apply_default_css=False)
            samples = [
                gr.Button(title, icon=PORTRAITS / "small" / f"{Path(file).stem}.jpg", elem_classes="sample")
                for title, file, _ in SAMPLES
            ]
        with gr.Accordion("or a public link", open=False, elem_id="by-link") as self.by_link:
            self.link = gr.Textbox(
                label="Link to a portrait",
                info="Passed on to the service and never opened here, so it cannot be checked before it costs.",
                placeholder="https://",
                elem_id="link",
            )
        self.prompt = gr.Textbox(
            label="Scene",
            lines=2,
            max_lines=8,
            placeholder="She looks up from a book and smiles, warm evening light.",
            elem_id="prompt",
        )
        self.left = component("left", {})
        scenes = [OWN, *(scenes for _, _, scenes in SAMPLES)]
        self.ideas = component("ideas", {"scenes": scenes, "chips": CHIPS, "most": MOST_SCENES})
        self.optimizer = gr.Checkbox(
            True,
            label="Improve my scene",
            elem_id="optimizer",
            **BEGIN["optimizer"],
        )
        self.consent = gr.Checkbox(visible=FIRST != "simulator", elem_id="consent", **BEGIN["consent"])
        self.generate = gr.Button(variant="primary", elem_id="generate", **BEGIN["generate"])
        self.filled = [self.photo, self.preflight, self.link, self.by_link, self.prompt, self.optimizer]
        # By the names that an `Order` has for them.
        self.fields = {
            "photo": self.photo, "link": self.link, "prompt": self.prompt, "prompt_optimizer": self.optimizer,
            "consent": self.consent,
        }  # fmt: skip

        outputs = [self.photo, self.preflight]
        sampled = [*outputs, self.link, self.by_link, self.prompt]
        # Not `input`, which still carries the photo that has just been taken away.
        self.photo.change(self.inspect, self.photo, outputs, **UNOPENED)
        for button, change in ((crop, {"crop": True}), (turn, {"turn": True}), (face, {"crop": "face"})):
            button.click(partial(self.inspect, **change), self.photo, outputs, **UNOPENED)
        for button, (_, file, scenes) in zip(samples, SAMPLES, strict=True):
            button.click(partial(self.sample, PORTRAITS / file, scenes[0]), self.prompt, sampled, **AT_ONCE)
        dropped = [self.preflight, self.prompt, self.optimizer]
        self.preflight.clip(self.clip_dropped, [self.prompt, self.preflight], dropped, **AT_ONCE)
        counted = f"(text) => s2v.count(text, {PROMPT_CHARACTERS}, {PROMPT_WORDS})"
        gr.on([page.load, self.prompt.change], None, self.prompt, js=counted, **PRIVATE)
        gr.on([page.load, self.photo.change], None, self.photo, js="(photo) => s2v.backdrop(photo)", **PRIVATE)

    async def inspect(self, photo: Upload | None, **change: Any) -> Update:
        path = path_of(photo)
        if orders.made(path) and not change:
            return {self.preflight: gr.skip()}
        made, said = await orders.inspect(path, **change) if path else ("", {})
        return {self.preflight: said} | ({self.photo: made} if made else {})

    async def sample(self, portrait: Path, scene: str, prompt: str) -> Update:
        """With a scene, unless somebody has written one."""
        path, said = await orders.show(portrait)
        update = {self.photo: path, self.preflight: said, self.link: "", self.by_link: gr.Accordion(open=False)}
        return update | ({self.prompt: gettext(scene)} if OFFERED.has(prompt) else {})

    async def clip_dropped(self, prompt: str, said: dict[str, Any], event: gr.EventData) -> Update:
        """What a clip says of itself; its scene and its switch, unless somebody has written a scene."""
        sentence, scene, improved = dropped(str(event.packet), free=OFFERED.has(prompt))
        filled = {self.prompt: scene, self.optimizer: improved} if scene else {}
        return filled | {self.preflight: (said or {}) | {"clip": sentence, "at": time.time()}}

    async def use_example(self, event: gr.EventData) -> Update:
        """Its portrait and its scene."""
        example = next(each for each in EXAMPLES if each.name == event.name)
        return await self.sample(example.portrait, example.scene, "")

    async def use_again(self, view: View) -> Update:
        return await self.filled_update(view.shown, view)

    async def filled_update(self, ticket: str, view: View) -> Update:
        """A job's photo, scene and switch, as they were, and the button that names its price."""
        view.scenes = 1
        job, said, photo, link = await orders.again(ticket)
        # With the time, so that the browser sees the same job come twice.
        said = said | {"job": ticket, "at": time.time()}
        return {
            self.photo: photo, self.preflight: said, self.link: link, self.prompt: in_a_line(job.prompt),
            self.optimizer: job.prompt_optimizer, self.by_link: gr.Accordion(open=bool(link)),
            **self.button_update(view),
        }  # fmt: skip

    def scenes_update(self, view: View, event: gr.EventData) -> Update:
        """The button names the price of all scenes, before they can be paid."""
        view.scenes = int(event.count)
        return self.button_update(view)

    def price_update(self, service: str, view: View) -> Update:
        paid, paid_before = service != "simulator", (view.service or FIRST) != "simulator"
        view.service = service
        # Where nothing changes the box is left alone: it may be being ticked.
        return {self.consent: gr.Checkbox(visible=paid) if paid != paid_before else gr.skip()} | self.button_update(
            view
        )

    def button_update(self, view: View) -> Update:
        """From when the service has taken a job, another can be made beside it."""
        going = view.job and view.job.state in UNDER_WAY
        label = orders.label(view.service or FIRST, view.scenes, more=bool(going))
        return {self.generate: gr.Button(label, interactive=not going or bool(view.job.task_id))}


class Result:
    """What comes out: the card of the job on show, its clip, and what can be done with them."""

    def __init__(self) -> None:
        with component("status", **BEGIN["status"]) as self.status:
            # Mounted with the first job: its scripts are two fifths of what the page loads.
            self.clip = gr.Video(label="Your clip", loop=True, autoplay=True, buttons=[], visible=False, elem_id="clip")
            self.likeness = component("likeness", {})
            with gr.Row(elem_id="after"):
                self.stop = gr.Button("Leave it running", elem_id="stop")
                self.again = gr.Button("Use again", elem_id="again")
                self.download = gr.DownloadButton("Download", visible=False, elem_id="download")
                self.scene = gr.Checkbox(False, label="Keep the scene in the file", elem_id="keep-scene")
                self.delete = gr.Button("Delete", elem_id="delete")
            self.examples = component(
                "examples", {"examples": SHOWN, **shared(settings, os.environ.get("GRADIO_ROOT_PATH", ""))}
            )
        self.player = [self.clip, self.download, self.scene]
        self.outputs = [self.status, self.stop, *self.player]

    def running_update(self, job: Job) -> Update:
        label = gettext("Cancel, free of charge" if job.state is State.QUEUED else "Leave it running")
        return {self.stop: label} | self.player_update(None)

    def player_update(self, file: str | None) -> Update:
        download = gr.DownloadButton(value=file, visible=True)
        return {self.clip: gr.Video(file, visible=True), self.download: download, self.scene: False}

    async def download_update(self, scene: bool, view: View) -> Update:
        file = await gallery.clip(view.job, scene=scene) if view.job else None
        return {self.download: gr.DownloadButton(value=file)}

    async def deleted_update(self, ticket: str, view: View) -> Update:
        """The job loses all but its row, and its card says so if it is on show."""
        with suppress(UnknownTicket):
            if not (await studio.job(ticket)).ended:
                raise InputRejected(Reason.NOT_ENDED)
            job = await studio.delete(ticket)
            if ticket == view.shown:
                return {self.status: gallery.card(job), self.likeness: {}} | self.player_update(None)
        return {}


# Gradio paints the body with these before the style sheet is there.
theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    body_background_fill="#f6f5f3",
    body_background_fill_dark="#0e0f12",
    body_text_color="#17181c",
    body_text_color_dark="#f1f1f3",
)
# What stays does not lie among uploads: a folder for those can be emptied at any time.
gr.set_static_paths([PORTRAITS / "small", ASSETS / "examples"])

with gr.Blocks(title=PREVIEW.title, analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
    session = Session()
    with gr.Row(elem_id="header"):
        component("brand")
        # On a phone, a sheet that the pill opens.
        with gr.Column(elem_id="makers"):
            component("sheet")
            services = Services(session)
            chooser = component("language", {})
        present = gr.Button("Present", elem_id="present")
    with gr.Row(elem_id="columns"):
        with gr.Column(elem_id="order"):
            order = OrderForm(demo)
        result = Result()
    history = component("history", **BEGIN["history"])
    reel = component("reel", {})
    with gr.Accordion("Recover a clip by its ticket", open=False, elem_id="recovery"):
        ticket_box = gr.Textbox(label="Ticket", placeholder="s2v_…", max_lines=1, elem_id="ticket")
        ticket_says = component("says", "", elem_id="ticket-says")
        recover = gr.Button("Recover", elem_id="recover")
    component("foot", **BEGIN["foot"])

    async def make_clip(
        request: gr.Request, *, view: View, service: str, photo: Upload | None, prompt: str, label: str, **fields: Any
    ) -> Update:
        """Its tickets are in the answer of the call that pays, whatever becomes of the watch."""
        scenes = scenes_of(prompt)
        wish, view.job = view.want(), None
        # What is paid is what the button named.
        if label not in [orders.label(service, len(scenes), more=more) for more in (False, True)]:
            view.scenes = min(len(scenes), MOST_SCENES)
            told = cards.rejection_card(InputRejected(Reason.SCENES_CHANGED))
            return {result.status: told, session.wish: wish} | order.price_update(service, view)
        view.ordering, view.alone, view.entered, made = True, len(scenes) == 1, False, list[Job]()

        def entered(job: Job) -> None:
            made.append(job)
            view.made.append(job)
            view.job, view.entered = made[0], True

        try:
            wanted = Order(photo=path_of(photo), service=service, key=view.key, visitor=visitor_of(request), **fields)
            refused = await orders.order_each(wanted, scenes, entered)
        finally:
            view.ordering = False
        card = {result.status: gallery.card(made[0])} | result.running_update(made[0])
        left = {order.left: cards.refusals(len(made), refused) | {"sent": prompt}}
        return keep(made, view, form=True) | card | left | order.button_update(view)

    async def open_page(view: View, request: gr.Request, event: gr.EventData) -> Update:
        """What the browser keeps: on opening, and when another page of it has kept or forgotten a ticket."""
        opening = view.tickets is None
        view.know(event.tickets)
        view.made = [job for job in view.made if job.ticket not in view.known]
        newest = await gallery.newest(view.known) if opening or event.follow else view.next
        wish = {session.wish: view.want(newest)} if newest != view.next else {}
        return wish | await beside(view, request)

    async def refill(view: View, photo: Upload | None, link: str, prompt: str) -> Update:
        """The form as it was left, unless somebody has begun to fill it in."""
        first, view.refilled = not view.refilled, True
        with suppress(InputRejected, UnknownTicket):
            if first and not (photo or link or prompt):
                # Who chose the simulator is not led back to what costs.
                free = (await studio.job(view.next)).simulated
                chosen = {services.service: "simulator"} if free else {}
                return chosen | await order.filled_update(view.next, view)
        return {order.preflight: gr.skip()}

    async def recover_ticket(ticket: str, view: View) -> Update:
        try:
            job = await studio.resume(ticket.strip())
        except UnknownTicket as error:
            # What is on show has nothing to do with it.
            return {ticket_says: str(error)}
        return keep([job], view) | {ticket_box: "", ticket_says: ""}

    def keep(jobs: list[Job], view: View, *, form: bool = False) -> Update:
        view.know([*(job.ticket for job in jobs), *view.known])
        return {session.tickets: kept(jobs, view, form=form), session.wish: view.want(jobs[0].ticket)}

    def kept(jobs: list[Job], view: View, *, form: bool = False) -> dict[str, Any]:
        """For the browser to keep; and whether the form is about the last of these."""
        about = jobs[-1].ticket if form and view.alone else ""
        return {"keep": [[job.ticket, not job.simulated] for job in jobs], "form": about}

    async def open_card(view: View, event: gr.EventData) -> Update:
        return {session.wish: view.want(str(event.ticket))}

    async def open_all(view: View) -> Update:
        view.all = True
        return {history: await gallery.news(view) or gr.skip()}

    async def join(view: View, event: gr.EventData) -> Update:
        """Clips of this browser as one, in the order of its cards."""
        made = playing(*await gallery.joined(view.kept(event.tickets)))
        return {reel: made, history: await gallery.news(view, seen=0.0) or gr.skip()}

    async def compare(view: View, event: gr.EventData) -> Update:
        """Two clips of this browser side by side."""
        return {reel: playing(*await gallery.pair(view.kept(event.tickets)[:2]))}

    def playing(clips: list[dict[str, Any]], said: str) -> dict[str, Any]:
        return {"clips": [each | {"url": address(Path(each["file"]))} for each in clips], "said": said}

    async def watch(view: View, request: gr.Request) -> AsyncIterator[Update]:
        """Shows what is wanted, and may end early without harm: a job goes on without its spectator."""
        yield {result.status: gr.skip()}
        async for ticket in view.wanted():
            async for update in view.until_another(show(ticket, view, request)):
                yield update
        # Gradio says the last of these once more at the end, and another event may have said something newer.
        yield {result.status: gr.skip()}

    async def show(ticket: str, view: View, request: gr.Request) -> AsyncGenerator[Update]:
        state = None
        with suppress(UnknownTicket):
            async for job, card in gallery.watch(ticket):
                if job.state is state:
                    yield {result.status: card, history: await gallery.news(view) or gr.skip()}
                    continue
                state, likeness = job.state, await gallery.pictures(job, wait=False)
                yield await job_update(job, view, card) | {result.likeness: likeness} | await beside(view, request)
                if job.clip:
                    yield {result.likeness: await gallery.pictures(job)} | await beside(view, request)

    async def job_update(job: Job, view: View, card: dict[str, Any] | None = None) -> Update:
        """A job on the stage as it stands, with its clip if it has one."""
        view.job = job
        update = {result.status: card or gallery.card(job)} | order.button_update(view)
        if job.state in UNDER_WAY:
            return update | result.running_update(job)
        return update | result.player_update(await gallery.clip(job))

    async def beside(view: View, request: gr.Request) -> Update:
        """The cards, and what is left today as far as the database tells."""
        update = {history: await gallery.news(view) or gr.skip()}
        with suppress(DatabaseUnavailable):
            update |= await services.services_update(view, request)
        return update

    async def look(view: View, request: gr.Request, event: gr.EventData) -> Update:
        """What a page has not heard of something under way: it may have no stream, or have lost a word."""
        update: Update = {history: await gallery.news(view, seen=event.at) or gr.skip()}
        if view.made:
            update[session.tickets] = kept(view.made, view, form=True)
        with suppress(DatabaseUnavailable, UnknownTicket):
            if event.running and (ticket := view.next or event.ticket):
                job = await studio.job(ticket)
                if event.again:
                    view.forsake()
                    update[session.wish] = view.want(ticket)
                update |= await job_update(job, view) | await services.services_update(view, request)
                update[result.likeness] = await gallery.pictures(job, wait=False)
            elif event.lost and not view.ordering:
                update[result.status] = cards.lost_card()
        return update

    async def pictures_update(view: View) -> Update:
        """What is made of a clip after it is done, for a page whose watch did not wait for it."""
        update: Update = {history: gr.skip()}
        if (job := view.job) and job.clip:
            likeness = await gallery.pictures(job)
            update = {history: await gallery.news(view) or gr.skip()}
            if view.shown == job.ticket:
                update[result.likeness] = likeness
        return update

    async def leave_running(view: View) -> Update:
        wish, job = view.want(), await studio.cancel(view.shown)
        view.job = job if job.ended else None
        if not job.ended:
            view.ending = partial(cards.background_card, job)
        card = view.ending() if view.ending else gallery.card(job)
        return {result.status: card, result.likeness: {}, session.wish: wish} | order.button_update(view)

    async def remove(ticket: str, view: View) -> Update:
        deleted = await result.deleted_update(ticket, view)
        view.know(each for each in view.known if each != ticket)
        return deleted | {session.tickets: {"forget": ticket}, history: await gallery.news(view) or gr.skip()}

    async def remove_shown(view: View) -> Update:
        return await remove(view.shown, view)

    async def remove_card(view: View, event: gr.EventData) -> Update:
        return await remove(str(event.ticket), view)

    async def ending(error: Exception, event: Any, states: Any) -> Update:
        """A card and a live button, whatever went wrong."""
        view = states[session.view._id]
        ticket = view.next or view.shown
        # Of several, some may have been entered.
        paying = event.api_name == "make_clip" and not view.entered
        if not isinstance(error, S2VError):
            view.ending = partial(cards.broken_card, ticket, paying=paying)
        else:
            view.ending = partial(cards.rejection_card, error) if paying else partial(cards.failure_card, error, ticket)
        return {result.status: view.ending(), order.generate: gr.Button(interactive=True)}

    async def speak(photo: Upload | None, view: View, request: gr.Request, event: gr.EventData) -> Update:
        """The page in another language: what it shows is said anew, and what was entered stays."""
        view.settled, view.told = {}, {}
        update = {each: gr.update(**restated(each, names)) for each, names in restatable.items()}
        update[chooser] = {"language": language(), "words": words(SAID)}
        path = path_of(photo)
        # One that was not accepted is so again, and says it anew.
        said = await orders.said_of(path) if orders.made(path) else (await orders.inspect(path))[1] if path else {}
        update |= order.button_update(view) | {order.preflight: gr.update(value=said, takes=takes())}
        update[services.service] = gr.Radio(
            await orders.choices(visitor_of(request), view.key), label=gettext("Next clip with")
        )
        if view.key:
            update[services.box] = gr.Accordion(label=view.key.mask)
        if news := await gallery.news(view, seen=0.0):
            update[history] = news | {"kept": kept_here(settings)}
        if view.shown:
            view.forsake()
            return update | {session.wish: view.want(view.shown)}
        if view.ending or event.idle:
            update[result.status] = view.ending() if view.ending else cards.idle_card()
        return update

    def restated(each: gr.blocks.Block, names: Iterable[str]) -> dict[str, Any]:
        """These properties of a component as a page begins with them, in the reader's language."""
        props = each.get_config() | with_facts().get(each.elem_id or "", {})
        return {name: in_words(props[name]) for name in names}

    def as_gradio_error(error: Exception) -> Exception:
        return gr.Error(cards.sentence(error), print_exception=False)

    order.ideas.scenes(order.scenes_update, session.view, order.generate, trigger_mode="always_last", **AT_ONCE)
    # What shows a job, and what stands beside it.
    shown = [*result.outputs, order.generate]
    around = [result.likeness, history, services.service]
    wanted = [session.tickets, session.wish]
    asked = order.fields | {"service": services.service, "view": session.view, "label": order.generate}
    # Each is heard: the last tells what the browser keeps now.
    opened = session.tickets.kept(
        open_page, session.view, [session.wish, history, services.service], trigger_mode="multiple", **AT_ONCE
    )
    asked_again = [session.view, order.photo, order.link, order.prompt]
    opened.success(refill, asked_again, [*order.filled, order.generate, services.service], **UNOPENED)
    recover.click(recover_ticket, [ticket_box, session.view], [*wanted, ticket_box, ticket_says], **AT_ONCE)
    history.open(open_card, session.view, session.wish, **AT_ONCE)
    history.all(open_all, session.view, history, **AT_ONCE)
    history.join(join, session.view, [reel, history], **AT_ONCE)
    history.compare(compare, session.view, reel, **AT_ONCE)
    preparing = f"(card, prompt) => s2v.preparing(card, {json.dumps(cards.preparing_card())}, prompt)"
    order.generate.click(None, [result.status, order.prompt], [result.status, result.likeness], js=preparing, **PRIVATE)
    ordered = [*wanted, *shown, order.left, order.consent]
    made = order.generate.click(make_clip, None, ordered, inputs_kwargs=asked, **UNOPENED)
    made.failure(None, None, None, js="() => void (s2v.unanswered = true)", **PRIVATE)
    # Every way to a job ends in the same watch.
    session.wish.change(watch, session.view, [*shown, *around], trigger_mode="always_last", **STREAMED)
    looked = result.status.look(look, session.view, [*shown, *around, *wanted], **AT_ONCE)
    looked.success(pictures_update, session.view, [result.likeness, history], **AT_ONCE)
    result.stop.click(leave_running, session.view, [session.wish, result.likeness], **AT_ONCE)
    result.scene.input(result.download_update, [result.scene, session.view], result.download, **AT_ONCE)
    removed = [*result.player, result.likeness, session.tickets, history]
    result.delete.click(remove_shown, session.view, removed, **AT_ONCE)
    history.remove(remove_card, session.view, removed, **AT_ONCE)
    result.examples.use(
        order.use_example, None, [order.photo, order.preflight, order.link, order.by_link, order.prompt], **AT_ONCE
    )
    result.again.click(order.use_again, session.view, [*order.filled, order.generate], **AT_ONCE)
    present.click(None, None, None, js="() => s2v.present(true)", **PRIVATE)
    services.service.change(order.price_update, [services.service, session.view], order.consent, **AT_ONCE)

    # The same for programs.
    async def submit(
        photo: FileData | None = None,
        prompt: str = "",
        prompt_optimizer: bool = True,
        photo_url: str = "",
        consent: bool = False,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Make a clip of a portrait and a sentence; the answer's ticket is what /status and /clip take.

        The answer's warnings say what should be known about the photo.

        Args:
            photo: a JPEG, PNG or WebP file with one clear human face.
            prompt: what the person does, and where; at most 2000 characters.
            prompt_optimizer: whether the service may rewrite the prompt.
            photo_url: a public https link, in place of the photo; it is passed on unopened.
            consent: that you have the right to use this face; the live service needs it.
        """
        key = request.headers.get("x-s2v-key")
        wanted = Order(
            photo=path_of(photo),
            link=text_of(photo_url, "photo_url"),
            prompt=text_of(prompt, "prompt"),
            prompt_optimizer=prompt_optimizer,
            consent=consent,
            service="own" if key else FIRST,
            key=Key(key) if key else None,
            visitor=visitor_of(request),
            ticket=request.headers.get(TICKET, ""),
        )
        warnings = await orders.warnings(wanted)
        return cards.as_json(await orders.order(wanted)) | {"warnings": warnings}

    async def status(ticket: str) -> dict[str, Any]:
        """A job as it stands: its state, whether it was charged, the seconds since it began, and words for people.

        Args:
            ticket: from /submit.
        """
        return cards.as_json(await studio.job(text_of(ticket, "ticket")))

    async def clip(ticket: str) -> FileData:
        """The finished clip, an MP4.

        Args:
            ticket: from /submit.
        """
        job = await studio.job(text_of(ticket, "ticket"))
        if path := await gallery.clip(job):
            return FileData(path=path)
        raise InputRejected(job.what or Reason.NO_CLIP, {"state": job.state})

    for call in (submit, status, clip):
        gr.api(call, api_name=call.__name__, concurrency_limit=None)

    changing = {result.status, result.likeness, order.preflight, order.generate, services.service, history, chooser}
    with read_in("zh-CN"):
        # What is said in a template is said anew by the browser: what it holds would be mounted anew.
        named = {
            each: translated(each.get_config()).keys() - {"html_template"}
            | with_facts().get(each.elem_id or "", {}).keys()
            for each in demo.blocks.values()
        }
        restatable = {each: names for each, names in named.items() if names and each not in changing}
    anew = [*restatable, *changing, services.box, session.wish]
    chooser.choose(speak, [order.photo, session.view], list(dict.fromkeys(anew)), **UNOPENED)
    # Last: it takes in all events so far.
    ends = [result.status, order.generate]
    end_in_words(demo, folder=UPLOADS, outputs=ends, card=ending, as_error=as_gradio_error)


def tools() -> Any:
    """None where requirements-mcp.txt is not installed."""
    if not find_spec("mcp"):
        return None
    from s2v_core.page.mcp import Tools

    def link(file: Path, request: Any) -> str:
        return f"{get_root_url(request, '/mcp', demo.root_path)}/{quote(address(file), safe='/=')}"

    return Tools(orders, gallery, studio, settings, link)


def run(limits: ServerLimits = USUAL) -> None:
    sheets = (ASSETS / "page.css", *sorted((ASSETS / "parts").glob("*.css")))
    serve(
        demo,
        studio,
        settings,
        uploads=UPLOADS,
        preview=PREVIEW,
        style="".join(map(for_browser, sheets)),
        early=[name for name in (ASSETS / "early.txt").read_text("utf-8").split() if (SCRIPTS / name).is_file()],
        tools=tools(),
        translation=Translation(SAID, with_facts),
        limits=limits,
        theme=theme,
        js=for_browser(ASSETS / "page.js"),
        favicon_path=ASSETS / "favicon.svg",
    )


if __name__ == "__main__":
    run()
