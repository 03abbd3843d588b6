"""What there is, in words and pictures: jobs as cards, clips as files that a browser may fetch."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import suppress
from typing import Any

from ..errors import UnknownTicket, report
from ..jobs.model import Job
from ..jobs.studio import Studio
from ..settings import Settings
from . import cards
from .view import View

_CARDS = 12


class Gallery:
    """The jobs of a studio as a page shows them."""

    def __init__(self, studio: Studio, settings: Settings) -> None:
        self._studio, self._settings = studio, settings

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
        facts = {"prompt": job.prompt, "made": self.card(job)["facts"][:2], "simulated": job.simulated}
        return await _decoration(self._studio.pictures(job)) | facts

    async def clip(self, job: Job) -> str | None:
        """Where a browser may fetch the clip, if there is one, and its file."""
        with suppress(FileNotFoundError):
            return str(await asyncio.to_thread(self._studio.store.publish, job)) if job.clip else None
        return None

    async def newest(self, tickets: Iterable[str]) -> str:
        """The first of these tickets that is known here, if there is one."""
        for ticket in tickets:
            with suppress(UnknownTicket):
                return (await self._studio.job(ticket)).ticket
        return ""

    async def small_card(self, ticket: str) -> dict[str, Any]:
        """One of many. Raises `UnknownTicket`."""
        job = await self._studio.job(ticket)
        pictures = await _decoration(asyncio.to_thread(self._studio.store.pictures, job))
        if job.clip and "poster" not in pictures:
            pictures = await _decoration(self._studio.pictures(job))
        return cards.summary(job) | {"poster": pictures.get("poster") or pictures.get("reference", "")}


class Shelf:
    """The cards of one page while it is watched: those of jobs that have ended are read once."""

    def __init__(self, gallery: Gallery, view: View) -> None:
        self._gallery, self._view = gallery, view
        self._ended: dict[str, dict[str, Any]] = {}
        self._told: list[dict[str, Any]] = []
        self._seen: tuple[list[str], bool] = [], False

    @property
    def unsettled(self) -> bool:
        """Whether a job of the cards told last is under way, or others are to be shown by now."""
        return self._seen != (self._view.known, self._view.all) or any(card["running"] for card in self._told)

    async def cards(self) -> dict[str, Any]:
        """The newest or all, how many `more` there may be, and when they were looked at: see `Card`."""
        self._told, at = [], time.time()
        tickets, every = self._seen = self._view.known, self._view.all
        most = len(tickets) if every else _CARDS
        for ticket in tickets[:most]:
            with suppress(UnknownTicket):
                card = self._ended.get(ticket) or await self._gallery.small_card(ticket)
                if not card["running"]:
                    self._ended[ticket] = card
                self._told.append(card)
        return {"clips": self._told, "more": max(0, len(tickets) - most), "at": at}

    async def news(self) -> dict[str, Any] | None:
        """The same, if one has changed since it was told."""
        before = [_timeless(card) for card in self._told]
        told = await self.cards()
        return None if before == [_timeless(card) for card in self._told] else told


def _timeless(card: dict[str, Any]) -> dict[str, Any]:
    return card | {"now": 0, "seconds": 0}


async def _decoration(pictures: Awaitable[dict[str, str]]) -> dict[str, str]:
    try:
        return await pictures
    except Exception as error:  # noqa: BLE001
        # A clip without pictures is still a clip.
        report(error)
        return {}
