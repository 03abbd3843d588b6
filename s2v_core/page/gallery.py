"""What there is, in words and pictures: jobs as cards, clips as files that a browser may fetch."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from ..clip.marks import MOST_PARTS, NotJoined
from ..errors import DatabaseUnavailable, InputRejected, S2VError, UnknownTicket, report
from ..jobs.model import Job
from ..jobs.studio import Studio
from ..language import gettext
from ..reasons import Reason
from ..settings import Settings
from . import cards
from .view import View

_CARDS = 12


class Gallery:
    """The jobs of a studio as a page shows them."""

    def __init__(self, studio: Studio, settings: Settings) -> None:
        self._studio, self._settings = studio, settings
        # Each takes a processor.
        self._joining = asyncio.Semaphore(1)

    async def watch(self, ticket: str) -> AsyncIterator[tuple[Job, dict[str, Any]]]:
        """A job with its card, as `Studio.watch` sees it. Raises `UnknownTicket`."""
        job = await self._studio.job(ticket)
        typical = await self._studio.typical_durations(job)
        async for seen in self._studio.watch(ticket):
            yield seen, self.card(seen, typical=typical)

    def card(self, job: Job, **more: Any) -> dict[str, Any]:
        """A job as it stands."""
        return cards.job_card(job, keep_hours=self._settings.keep_hours, space=self._settings.space, **more)

    async def pictures(self, job: Job, *, wait: bool = True) -> dict[str, Any]:
        """What stands beside a clip: the reference, frames or faces, the sentence, its maker; or what there is."""
        facts = {"prompt": job.prompt, "made": cards.made_by(job), "simulated": job.simulated}
        pictures = await _decoration(self._studio.pictures(job, wait=wait))
        # The faces are written before what was found of them.
        if not (seen := json.loads(pictures.pop("seen", "{}"))):
            pictures.pop("faces", None)
        said = cards.seen(seen["found"], seen["of"]) if seen else ""
        return pictures | facts | {"seen": seen, "said": said}

    async def clip(self, job: Job, *, scene: bool = False) -> str | None:
        """Where a browser may fetch the clip, if there is one, and its file; with its `scene` in it, or without."""
        with suppress(FileNotFoundError):
            store = self._studio.store
            return str(await store.run(store.publish, job, scene=scene)) if job.clip else None
        return None

    async def reel(self, tickets: Sequence[str]) -> tuple[str, bool]:
        """Where a browser may fetch the clips of these tickets as one, and whether a model made any of them.

        Raises `InputRejected`, `UnknownTicket` and `DatabaseUnavailable`.
        """
        if not 2 <= len(tickets) <= MOST_PARTS:
            raise InputRejected(Reason.REEL, {"most": MOST_PARTS})
        jobs = [await self._studio.job(ticket) for ticket in tickets]
        if not all(job.clip for job in jobs):
            raise InputRejected(Reason.REEL, {"most": MOST_PARTS})
        try:
            store = self._studio.store
            async with self._joining:
                path = await store.run(store.reel, jobs)
            return str(path), not all(job.simulated for job in jobs)
        except NotJoined as error:
            raise InputRejected(error.args[0]) from None
        except OSError as error:
            report(error)
            raise InputRejected(Reason.NO_REEL) from None

    async def joined(self, tickets: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
        """Clips as one, in this order, if that can be, and what is to be said of it."""
        try:
            file, generated = await self.reel(tickets)
        except S2VError as error:
            return [], str(error)
        joined = "{count} clips, one after the other. It goes when one of them is deleted here."
        return [{"file": file, "generated": generated}], gettext(joined, count=len(tickets))

    async def pair(self, tickets: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
        """Two clips, if both are here, and what is to be said of them."""
        clips: list[dict[str, Any]] = []
        try:
            for ticket in tickets:
                job = await self._studio.job(ticket)
                if file := await self.clip(job):
                    clips.append({"file": file, "generated": not job.simulated, "scene": job.prompt})
        except S2VError as error:
            return [], str(error)
        if len(clips) != 2:
            return [], gettext("One of them is no longer here.")
        return clips, gettext("Both play and stop together.")

    async def newest(self, tickets: Iterable[str]) -> str:
        """The first of these tickets that is known here, if there is one."""
        for ticket in tickets:
            with suppress(UnknownTicket):
                return (await self._studio.job(ticket)).ticket
        return ""

    async def news(self, view: View, *, seen: float | None = None) -> dict[str, Any] | None:
        """The cards of a page, newest or all, how many `more` tickets there are, and when they were looked at.

        None where nothing has changed since the page was told last, or the database is away. A page can say when what
        it has `seen` was looked at: it is told again what it has missed.
        """
        before = view.told
        try:
            view.told = await self._cards(view)
        except DatabaseUnavailable:
            return None
        missed = seen is not None and seen != before.get("at")
        if not missed and _timeless(before) == _timeless(view.told):
            view.told["at"] = before["at"]
            return None
        return view.told

    async def _cards(self, view: View) -> dict[str, Any]:
        at = time.time()
        clips: list[dict[str, Any]] = []
        for place, ticket in enumerate(view.known):
            if len(clips) == _CARDS and not view.all:
                return {"clips": clips, "more": len(view.known) - place, "at": at}
            if card := await self._small_card(ticket, view.settled):
                clips.append(card)
        return {"clips": clips, "more": 0, "at": at}

    async def _small_card(self, ticket: str, settled: dict[str, dict[str, Any] | None]) -> dict[str, Any] | None:
        if ticket in settled:
            return settled[ticket]
        card, stays = None, True
        with suppress(UnknownTicket):
            job = await self._studio.job(ticket)
            pictures = await _decoration(self._studio.pictures(job, wait=False))
            card = cards.summary(job) | {"poster": pictures.get("poster") or pictures.get("reference", "")}
            stays = job.ended is not None and ("poster" in pictures or not job.clip)
        if stays:
            settled[ticket] = card
        return card


def _timeless(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"at": 0, "clips": [card | {"now": 0, "seconds": 0} for card in told.get("clips", [])]}


async def _decoration(pictures: Awaitable[dict[str, str]]) -> dict[str, str]:
    try:
        return await pictures
    except Exception as error:  # noqa: BLE001
        # A clip without pictures is still a clip.
        report(error)
        return {}
