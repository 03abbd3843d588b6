"""Between a page and the studio: what is asked for, checked; what is there, in words. It knows no page."""

import asyncio
import logging
import secrets
import traceback
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import wire
from ..errors import ImageRejected, InputRejected, RatioRejected, UnknownTicket
from ..jobs.model import Job
from ..jobs.services import Service
from ..jobs.studio import Studio
from ..photo.advice import warnings
from ..photo.prepare import Photo, PublicLink, prepare_async, public_link
from ..server.guard import uploaded
from ..settings import Key, Settings
from ..text import meant
from . import cards

_log = logging.getLogger(__name__)

_CARDS = 12
_MADE = "portrait.jpg"
_REMEMBERED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a click or a program asks for, as it came: the `photo` is an upload, or the JPEG that was made of it.

    `service` is `simulator`, `live` at the owner's cost, or `own` at the visitor's; clips are counted by `visitor`.
    """

    photo: str = ""
    link: str = ""
    prompt: str = ""
    prompt_optimizer: bool = True
    consent: bool = False
    service: str
    key: Key | None = None
    visitor: str = ""


class Orders:
    """Photos are looked for, and put where a browser may fetch them, in `cache` alone."""

    def __init__(self, studio: Studio, settings: Settings, cache: Path) -> None:
        self._studio, self._settings, self._cache = studio, settings, cache
        self._made: dict[str, asyncio.Future[tuple[str, dict[str, Any]]]] = {}

    def service_for(self, service: str) -> Service:
        """Who is asked by the next click."""
        return self._studio.live if service == "own" else self._studio.services.get(service, self._studio.simulated)

    def price(self, service: str) -> str:
        """Of the next click."""
        return cards.price(self.service_for(service).price, self.service_for(service).label)

    async def choices(self, visitor: str, key: Key | None) -> list[tuple[str, str]]:
        """The services that the next click can use, with what is left of them today."""
        return self.services(await self._studio.left_today(visitor), key)

    def services(self, left: int, key: Key | None = None) -> list[tuple[str, str]]:
        """The same, where it is known how many clips are left."""
        label, most, owner = self._studio.live.label, self._studio.per_day, bool(self._settings.api_key)
        simulator = "SIMULATOR · free" if key or owner else "SIMULATOR · free, nothing leaves this machine"
        found = [(simulator, "simulator")]
        if owner:
            found.append((f"{label} · {left} of {most} clips left today", "live"))
        if key:
            found.append((f"{label} · your key {key.mask}", "own"))
        return found

    def made(self, photo: str) -> bool:
        """Whether this is a JPEG that was made here to be sent, and not an upload."""
        return photo in self._made and Path(photo).name == _MADE

    async def inspect(self, photo: str, *, crop: bool = False) -> tuple[str, dict[str, Any]]:
        """The JPEG that will be sent takes an upload's place; its path, and what is to be said of it.

        The path is empty where the photo is not accepted: then the upload stays.
        """
        try:
            return await self._prepared(photo, crop=crop)
        except ImageRejected as error:
            return "", {"rejected": error.what, "crop": isinstance(error, RatioRejected)}

    async def show(self, photo: Path, *, crop: bool = False) -> tuple[str, dict[str, Any]]:
        """As `inspect`, of a photo of ours, which stays. Raises `ImageRejected`."""
        made = await prepare_async(photo, crop=crop)
        path = self._cache / secrets.token_hex(16) / _MADE
        await asyncio.to_thread(_write, path, made.jpeg)
        facts = [f"{made.width} × {made.height} px", f"{len(made.jpeg) / 1000:.0f} kB", *made.changes]
        shown = str(path), {"facts": facts, "warnings": await asyncio.to_thread(warnings, made)}
        self._made[shown[0]] = asyncio.Future()
        self._made[shown[0]].set_result(shown)
        return shown

    async def _prepared(self, photo: str, *, crop: bool = False) -> tuple[str, dict[str, Any]]:
        # Asked for by the page at the choice of a photo and by a click that may come before the first has ended:
        # whoever comes second gets the same JPEG, as the upload is gone by then.
        if photo not in self._made:
            self._made[photo] = asyncio.ensure_future(self._make(photo, crop=crop))
            for oldest in list(self._made)[:-_REMEMBERED]:
                del self._made[oldest]
        making = self._made[photo]
        try:
            return await asyncio.shield(making)
        finally:
            if making.done() and (making.cancelled() or making.exception()):
                self._made.pop(photo, None)

    async def _make(self, photo: str, *, crop: bool) -> tuple[str, dict[str, Any]]:
        path = uploaded(photo, self._cache)
        shown = await self.show(path, crop=crop)
        await asyncio.to_thread(path.unlink, missing_ok=True)
        return shown

    async def order(self, order: Order) -> Job:
        """Queue a job. Raises `InputRejected` before anything is sent."""
        source = await self._source(order)
        if order.service == "own" and not order.key:
            raise InputRejected("Your key is not here any more: type it again under “Use your key”.")
        if order.service != "simulator" and not meant(order.consent):
            raise InputRejected("Not ticked yet: that you have the right to use this face (over HTTP: consent=True).")
        own = order.key.text if order.key and order.service == "own" else None
        return await self._studio.submit(
            source,
            order.prompt,
            prompt_optimizer=order.prompt_optimizer,
            service=None if own else order.service,
            key=own,
            visitor=order.visitor,
        )

    async def watch(self, ticket: str) -> AsyncIterator[tuple[Job, dict[str, Any]]]:
        """A job with its card, as `Studio.watch` sees it. Raises `UnknownTicket`."""
        job = await self._studio.job(ticket)
        typical = await self._studio.typical_durations(job)
        async for seen in self._studio.watch(ticket):
            yield seen, self.card(seen, typical=typical)

    def card(self, job: Job, **more: Any) -> dict[str, Any]:
        """A job as it stands."""
        return cards.job_card(job, keep_hours=self._settings.keep_hours, space=self._settings.space, **more)

    async def pictures(self, job: Job) -> dict[str, Any]:
        """What stands beside a clip: the reference, five frames, the sentence, how it was made."""
        facts = {"prompt": job.prompt, "made": self.card(job)["facts"][:2], "simulated": job.service == "simulator"}
        return await _decoration(self._studio.pictures(job)) | facts

    async def again(self, ticket: str) -> tuple[Job, dict[str, Any], str | None, str]:
        """A job to be made once more: what `show` says of its photo, the photo, or else the link.

        Raises `UnknownTicket`, and `InputRejected` where the photo is gone.
        """
        job = await self._studio.job(ticket)
        photo = self._studio.photo(job)
        if isinstance(photo, str):
            return job, {}, None, photo
        path, said = await self.show(photo)
        return job, said, path, ""

    async def clip(self, job: Job) -> str | None:
        """Where a browser may fetch the clip, if there is one, and its file."""
        with suppress(FileNotFoundError):
            return str(await asyncio.to_thread(self._studio.store.publish, job)) if job.clip else None
        return None

    async def cards(self, tickets: Iterable[str]) -> dict[str, Any]:
        """The newest of these jobs, small."""
        found = []
        for ticket in list(tickets)[:_CARDS]:
            with suppress(UnknownTicket):
                job = await self._studio.job(ticket)
                pictures = await _decoration(asyncio.to_thread(self._studio.store.pictures, job))
                found.append(cards.summary(job) | {"poster": pictures.get("poster") or pictures.get("reference", "")})
        return {"clips": found}

    async def _source(self, order: Order) -> Photo | PublicLink:
        if link := str(order.link or "").strip():
            if order.photo:
                raise ImageRejected("There is a portrait and a link: remove one of them.")
            return public_link(link)
        if not order.photo:
            raise ImageRejected("There is no portrait yet: drop one, take one, or try a sample.")
        path, _ = await self._prepared(order.photo)
        return Photo(await asyncio.to_thread(uploaded(path, self._cache).read_bytes))


def _write(path: Path, jpeg: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(jpeg)


async def _decoration(pictures: Awaitable[dict[str, str]]) -> dict[str, str]:
    try:
        return await pictures
    except Exception as error:  # noqa: BLE001
        # A clip without pictures is still a clip.
        report(error)
        return {}


def report(error: BaseException | None) -> None:
    """Writes into the log where an error came from; not its text, which can hold a prompt, a ticket or a key."""
    told: list[str] = []
    while error:
        kind = ": ".join(filter(None, (type(error).__qualname__, getattr(error, "strerror", ""))))
        told = [*traceback.format_tb(error.__traceback__), f"{kind}\n", *told]
        error = error.__cause__ or error.__context__
    _log.error("something went wrong\nTraceback (most recent call last):\n%s", "".join(told).rstrip())


def promise(settings: Settings, label: str) -> str:
    """What a person agrees to, with who gets the photo and how long it stays."""
    stays = "until you delete it" if settings.keep_hours is None else f"for {settings.keep_hours:g} hours"
    receivers = " and ".join(dict.fromkeys((label, "MiniMax")))
    return f"I have the right to use this face. It goes to {receivers}, and stays here {stays}."


def newest(ticket: str, tickets: Iterable[str] | None) -> list[str]:
    """The tickets that a browser keeps, this one first."""
    return [ticket, *(each for each in tickets or [] if each != ticket)][:20]


def limit() -> str:
    """What a photo must be, for the place where one is dropped."""
    return f"one clear human face\nJPEG, PNG or WebP, under {wire.PHOTO_BYTES // 1_000_000} MB"
