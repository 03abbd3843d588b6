"""What a page or a program asks for: the photo, the service, the order; checked before anything is sent."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import wire
from ..clip import marks
from ..errors import ChargeUnknown, ImageRejected, InputRejected, PromptRejected, RatioRejected, S2VError, report
from ..jobs.model import Job
from ..jobs.studio import Studio
from ..language import gettext, ngettext, paragraph, said
from ..photo.advice import advise
from ..photo.prepare import Crop, Photo, PublicLink, in_thread, prepare_async, public_link
from ..providers import price_words
from ..reasons import Reason
from ..settings import Key, Settings
from ..text import SCENES as MOST_SCENES
from ..text import check_prompt, meant

_MADE = "portrait.jpg"
_REMEMBERED = 500
# Of what a clip says of itself: as base64 it fits into a call.
_PACKET_BYTES = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a click or a program asks for, as it came: the `photo` is an upload, the path of the JPEG that was made of
    it, or that JPEG itself.

    `service` is `simulator`, `live` at the owner's cost, or `own` at the visitor's; clips are counted by `visitor`. The
    `ticket` is one that was promised already.
    """

    photo: str | Photo = ""
    link: str = ""
    prompt: str = ""
    prompt_optimizer: bool = True
    consent: bool = False
    service: str
    key: Key | None = None
    visitor: str = ""
    ticket: str = ""


class Orders:
    """Photos are looked for, and put where a browser may fetch them, in `cache` alone."""

    def __init__(self, studio: Studio, settings: Settings, cache: Path) -> None:
        self._studio, self._settings, self._cache = studio, settings, cache
        self._made: dict[str, asyncio.Future[tuple[str, dict[str, Any]]]] = {}

    def price(self, name: str, clips: int = 1) -> str:
        """Of the next click, which makes so many clips with the service of this name."""
        service = self._studio.services[name]
        return price_words(service.price and clips * service.price, service.label)

    def label(self, name: str, clips: int, *, more: bool = False) -> str:
        """What the button that pays says: so many clips with the service of this name, beside others or not."""
        if clips == 1:
            what = gettext("Make another" if more else "Make the clip")
        else:
            what = gettext("Make {clips} more" if more else "Make {clips} clips", clips=clips)
        return f"{what} · {self.price(name, clips)}"

    async def choices(self, visitor: str, key: Key | None) -> list[tuple[str, str]]:
        """The services that the next click can use, with what was spent on them and is left of them today."""
        own = await self._studio.spent_today(key.text) if key else 0
        return self.services(await self._studio.left_today(visitor), await self._studio.spent_today(), key, own)

    def services(self, left: int, spent: int = 0, key: Key | None = None, own: int = 0) -> list[tuple[str, str]]:
        """The same, where it is known what is left, and what was `spent` with the owner's key and with one's `own`."""
        label, owner = self._studio.services.live.label, bool(self._settings.api_key)
        if key or owner:
            simulator = gettext("Simulator · free")
        elif self._settings.space:
            simulator = gettext("Simulator · free, nothing goes to {provider}", provider=label)
        else:
            simulator = gettext("Simulator · free, runs on this computer")
        found = [(simulator, "simulator")]
        if owner:
            if spent:
                one, several = "{price} today, {count} clip left", "{price} today, {count} clips left"
            else:
                one, several = "{count} clip left today", "{count} clips left today"
            found.append((f"{label} · {ngettext(one, several, left, price=price_words(spent, label))}", "live"))
        if key:
            yours = "your key {key}, {price} today" if own else "your key {key}"
            found.append((f"{label} · {gettext(yours, key=key.mask, price=price_words(own, label))}", "own"))
        return found

    def made(self, photo: str) -> bool:
        """Whether this is a JPEG that was made here to be sent, and not an upload."""
        return photo in self._made and Path(photo).name == _MADE

    async def said_of(self, photo: str) -> dict[str, Any]:
        """What was said of a JPEG that was made here, in the reader's language by now."""
        return _said((await self._made[photo])[1])

    async def inspect(self, photo: str, *, crop: Crop = False, turn: bool = False) -> tuple[str, dict[str, Any]]:
        """The JPEG that will be sent takes an upload's place; its path, and what is to be said of it.

        One that was made before is made anew if it is to be cropped, or turned as it was advised. The path is empty
        where the photo is not accepted: then the upload stays.
        """
        try:
            if (crop or turn) and self.made(photo):
                return await self._remade(photo, crop=crop, turn=turn)
            return await self._prepared(photo, crop=crop)
        except ImageRejected as error:
            return "", {"rejected": str(error), "crop": isinstance(error, RatioRejected)}

    async def show(
        self, photo: Path, *, crop: Crop = False, turn: int = 0, before: Sequence[str] = ()
    ) -> tuple[str, dict[str, Any]]:
        """As `inspect`, of a photo of ours, which stays; what was changed `before` is told, too.

        Raises `ImageRejected`.
        """
        made = await prepare_async(photo, crop=crop, turn=turn)
        path = self._cache / secrets.token_hex(16) / _MADE
        await asyncio.to_thread(_write, path, made.jpeg)
        changes = list(dict.fromkeys([*before, *made.changes]))
        facts = [f"{made.width} × {made.height} px", f"{len(made.jpeg) / 1000:.0f} kB", *changes]
        advice = await in_thread(advise, made)
        offers = {"turn": advice.turn, "face": advice.crop}
        found = {"facts": facts, "warnings": advice.warnings, "seen": bool(advice.faces)} | offers
        self._made[str(path)] = asyncio.Future()
        self._made[str(path)].set_result((str(path), found))
        return str(path), _said(found)

    async def _prepared(self, photo: str, *, crop: Crop = False) -> tuple[str, dict[str, Any]]:
        # Asked for by the page at the choice of a photo and by a click that may come before the first has ended:
        # whoever comes second gets the same JPEG, as the upload is gone by then.
        if photo not in self._made:
            self._made[photo] = asyncio.ensure_future(self._make(photo, crop=crop))
            for oldest in list(self._made)[:-_REMEMBERED]:
                del self._made[oldest]
        making = self._made[photo]
        try:
            path, found = await asyncio.shield(making)
            return path, _said(found)
        finally:
            if making.done() and (making.cancelled() or making.exception()):
                self._made.pop(photo, None)

    async def _make(self, photo: str, *, crop: Crop) -> tuple[str, dict[str, Any]]:
        path = uploaded(photo, self._cache)
        shown, _ = await self.show(path, crop=crop)
        await asyncio.to_thread(path.unlink, missing_ok=True)
        return await self._made[shown]

    async def _remade(self, photo: str, *, crop: Crop, turn: bool) -> tuple[str, dict[str, Any]]:
        path = uploaded(photo, self._cache)
        _, found = await self._made[photo]
        return await self.show(path, crop=crop, turn=found["turn"] if turn else 0, before=found["facts"][2:])

    async def warnings(self, order: Order) -> tuple[str, ...]:
        """What is to be said of its photo, which forbids nothing. Raises `ImageRejected`."""
        if not order.photo:
            return ()
        if isinstance(order.photo, Photo):
            return tuple(map(said, (await in_thread(advise, order.photo)).warnings))
        _, found = await self._prepared(order.photo)
        return tuple(found["warnings"])

    async def order(self, order: Order) -> Job:
        """Queue a job. Raises `InputRejected` before anything is sent."""
        source = await self._source(order)
        if order.service != "simulator" and not meant(order.consent):
            raise InputRejected(Reason.NO_CONSENT)
        own = order.key.text if order.key and order.service == "own" else None
        return await self._studio.submit(
            source,
            order.prompt,
            prompt_optimizer=order.prompt_optimizer,
            service=order.service,
            key=own,
            visitor=order.visitor,
            ticket=order.ticket,
        )

    async def order_each(
        self, order: Order, scenes: Sequence[str], entered: Callable[[Job], None]
    ) -> dict[str, S2VError]:
        """Queue a job for each scene, and hear of each at once; why others were refused, by their scenes.

        Raises `InputRejected` before anything is sent, and what the first was refused for if none was entered.
        """
        if len(scenes) > MOST_SCENES:
            raise PromptRejected(Reason.SCENES, {"given": len(scenes), "most": MOST_SCENES})
        scenes = list(dict.fromkeys(map(check_prompt, scenes)))
        refused: dict[str, S2VError] = {}
        for place, scene in enumerate(scenes):
            try:
                entered(await self.order(replace(order, prompt=scene)))
            except S2VError as error:
                refused[scene] = error
            # What was entered before is told, whatever becomes of the rest.
            except Exception as error:
                if len(refused) == place:
                    raise
                report(error)
                refused[scene] = ChargeUnknown(Reason.SUBMIT_FAULT)
        if len(refused) == len(scenes):
            raise refused[scenes[0]]
        return refused

    async def again(self, ticket: str) -> tuple[Job, dict[str, Any], str | None, str]:
        """A job to be made once more: what `show` says of its photo, the photo, or else the link.

        Raises `UnknownTicket`, and `InputRejected` where the photo is gone.
        """
        job = await self._studio.job(ticket)
        photo = self._studio.photo(job)
        if isinstance(photo, str):
            return job, {}, None, photo
        path, found = await self.show(photo)
        return job, found, path, ""

    async def _source(self, order: Order) -> Photo | PublicLink:
        if link := str(order.link or "").strip():
            if order.photo:
                raise ImageRejected(Reason.PHOTO_AND_LINK)
            return public_link(link)
        if not order.photo:
            raise ImageRejected(Reason.NO_PHOTO)
        if isinstance(order.photo, Photo):
            return order.photo
        path, _ = await self._prepared(order.photo)
        return Photo(await asyncio.to_thread(uploaded(path, self._cache).read_bytes))


def uploaded(path: str, folder: Path) -> Path:
    """An upload by the path that a request names, which can be any. Raises `ImageRejected`."""
    # A path can be no path at all: with a null byte, too long, a circle of links.
    with suppress(OSError, ValueError, RuntimeError):
        found = Path(path).resolve()
        if found.is_relative_to(folder.resolve()) and found.is_file():
            return found
    raise ImageRejected(Reason.UPLOAD_GONE)


def path_of(photo: object) -> str:
    """Where an upload lies, as Gradio names it to an event; empty if there is none. Raises `ImageRejected`."""
    match photo:
        case {"path": str(path)}:
            return path
        case {"path": None}:
            return ""
        case _ if photo:
            raise ImageRejected(Reason.NOT_UPLOADED)
    return ""


def text_of(value: object, name: str) -> str:
    """What a program sent as the text `name`. Raises `InputRejected`."""
    if not isinstance(value, str | None):
        raise InputRejected(Reason.NOT_TEXT, {"name": name})
    return value or ""


def _said(found: dict[str, Any]) -> dict[str, Any]:
    return found | {name: [said(each) for each in found[name]] for name in ("facts", "warnings")}


def _write(path: Path, jpeg: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(jpeg)


def promise(settings: Settings, label: str) -> str:
    """What a person agrees to, with who gets the photo and how long it stays."""
    receivers = "MiniMax" if label == "MiniMax" else gettext("{one} and {other}", one=label, other="MiniMax")
    if settings.keep_hours is None:
        agreed = "I may use this face. It goes to {receivers}, and stays here until you delete it."
    else:
        agreed = "I may use this face. It goes to {receivers}, and stays here for {hours} hours."
    # Without its ledger nobody knows when it is due.
    lost = "If the server restarts first, the photo can stay until the server's owner deletes it."
    hours = f"{settings.keep_hours or 0:g}"
    more = gettext(lost) if settings.ledger_moved else ""
    return paragraph(gettext(agreed, receivers=receivers, hours=hours), more)


def kept_here(settings: Settings) -> str:
    """How long clips are kept, and what can lose one that was paid for."""
    kept = (
        "Each is kept here until you delete it."
        if settings.keep_hours is None
        else "Each is kept here for {hours} hours."
    )
    risk = "A restart of the server can lose its ticket; the server's owner can prevent that with S2V_DATABASE_URL."
    more = gettext(risk) if settings.api_key and settings.ledger_risk else ""
    return paragraph(gettext(kept, hours=f"{settings.keep_hours or 0:g}"), more)


def limit() -> str:
    """What a photo must be, for the place where one is dropped."""
    most = wire.PHOTO_BYTES // 1_000_000
    return gettext("one clear human face") + "\n" + gettext("JPEG, PNG or WebP, under {most} MB", most=most)


def takes() -> dict[str, Any]:
    """What a browser needs to refuse a file before it is uploaded, and the sentences for that."""
    return {
        "types": ["image/jpeg", "image/png", "image/webp"],
        "bytes": wire.PHOTO_BYTES,
        "xmp": marks.XMP.hex(),
        "most": _PACKET_BYTES,
        "large": gettext("This clip's description was not read: it is over {most} kB.", most=_PACKET_BYTES // 1000),
        "no_picture": str(ImageRejected(Reason.PHOTO_NO_PICTURE)),
        "kind": str(ImageRejected(Reason.PHOTO_KIND, {"kind": "{kind}"})),
        "size": str(ImageRejected(Reason.PHOTO_MEGABYTES, {"given": "{given}", "most": wire.PHOTO_BYTES // 1_000_000})),
    }
