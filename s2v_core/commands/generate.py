"""`generate` and `fetch`: one job followed to its clip, whatever interrupts it."""

import argparse
import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import (
    Charge,
    ChargeUnknown,
    DatabaseUnavailable,
    InputRejected,
    NotDownloaded,
    Refused,
    SettingsError,
)
from ..jobs.model import Job
from ..jobs.studio import Studio
from ..language import Sentence, gettext, paragraph, said
from ..output import is_stdout, put, write
from ..photo.advice import advise
from ..photo.prepare import Crop, Photo, is_link, prepare_async
from ..reasons import Reason
from ..server.signals import AWAITED, heard
from ..settings import Settings
from .common import destination_of, open_simulator, row
from .exits import ENDS, EXITS, say, ticket_of, without_clip

# For what is asked of the ledger between a signal and the studio's end, which takes up to 8 s.
_MOMENT = 0.7
_FIRST_ANSWER = 10.0


def make_clip(settings: Settings, arguments: argparse.Namespace) -> int:
    output = destination_of(arguments.output) if arguments.output else None
    if arguments.command == "generate" and arguments.service == "simulator":
        # Which needs neither a way out nor certificates.
        settings = replace(settings, api_key="")
    seen: list[Job] = []
    stop = asyncio.Event()
    try:
        with (
            asyncio.Runner() as runner,
            heard(runner.get_loop(), stop.set, awaited=gettext(AWAITED), end=lambda: _cut_off(seen)),
        ):
            runner.run(_make(settings, arguments, stop, seen))
    except (KeyboardInterrupt, OSError, DatabaseUnavailable) as error:
        if seen:
            return _end(settings, seen[-1], output, arguments.output)
        if isinstance(error, OSError):
            unusable = Sentence("S2V_DATA_DIR: this folder cannot be used ({why}).", why=error.strerror)
            raise SettingsError(unusable) from None
        raise
    if not seen:
        raise KeyboardInterrupt
    return _end(settings, seen[-1], output, arguments.output)


async def _make(settings: Settings, arguments: argparse.Namespace, stop: asyncio.Event, seen: list[Job]) -> None:
    """Put the job into `seen`, as it is now and at each change, until it has ended or somebody stops it."""
    async with _studio(settings) as studio:
        asking = asyncio.create_task(_ask(studio, arguments))
        if not await _before(stop, asking):
            studio.stop_admitting()
            await asyncio.wait({asking}, timeout=_MOMENT)
        if not asking.done():
            asking.cancel()
            return
        seen.append(asking.result())
        following = asyncio.create_task(_follow(studio, seen))
        if await _before(stop, following):
            following.result()
            return
        studio.stop_admitting()
        following.cancel()
        if arguments.command == "generate":
            with suppress(TimeoutError):
                async with asyncio.timeout(_MOMENT):
                    await studio.cancel(seen[-1].ticket)


async def _before(stop: asyncio.Event, task: asyncio.Task[Any]) -> bool:
    """Wait for one of the two; whether the task is done."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, task}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return task.done()


def _studio(settings: Settings) -> Studio:
    return Studio(settings, simulator=open_simulator(settings), take_over=False)


async def _ask(studio: Studio, arguments: argparse.Namespace) -> Job:
    if arguments.command == "fetch":
        return await studio.resume(arguments.ticket)
    if arguments.service == "live" and studio.services.default.name != "live":
        raise SettingsError(Sentence("S2V_API_KEY: the live service needs a key."))
    service = studio.services[arguments.service] if arguments.service else studio.services.default
    if service.price != 0 and is_link(arguments.photo):
        say(gettext("A link is never opened here: it cannot be checked before it costs."))
    if service.price != 0 and (refused := await studio.refused()):
        say(refused)
    photo = await _checked(arguments)
    optimizer = not arguments.no_optimizer
    try:
        return await studio.submit(photo, arguments.prompt, prompt_optimizer=optimizer, service=service.name)
    except DatabaseUnavailable:
        # It is in the ledger by now, or will be: what is not is `Refused`.
        tells = "`jobs` tells whether it was sent, as soon as they are there."
        raise ChargeUnknown(Reason.LEDGER_AWAY, advice=gettext(tells)) from None


async def _checked(arguments: argparse.Namespace) -> Photo | str:
    """The photo as it will be sent, after what is to be said of it; a link as it is."""
    if is_link(arguments.photo):
        return str(arguments.photo)
    crop: Crop = "face" if arguments.crop == "face" else bool(arguments.crop)
    photo = await prepare_async(arguments.photo, crop=crop, turn=arguments.turn)
    advice = await asyncio.to_thread(advise, photo)
    for warning in advice.warnings:
        say(said(warning))
    if advice.turn:
        turn = (arguments.turn + advice.turn) % 360
        say(gettext("`--turn {degrees}` turns it." if turn else "It does not without `--turn`.", degrees=turn))
    if advice.crop:
        say(gettext("`--crop face` cuts around the face."))
    if advice.warnings and arguments.strict:
        raise InputRejected(Reason.STRICT)
    return photo


async def _follow(studio: Studio, seen: list[Job]) -> None:
    """Until the job has ended, or waits for what this process cannot bring about."""
    first, began = seen[-1], time.monotonic()
    async for job in studio.watch(first.ticket):
        seen[:] = [job]
        _show(job)
        # What an earlier process wrote stands until this one has had an answer of its own.
        new = job.changed != first.changed or time.monotonic() > began + _FIRST_ANSWER
        if new and job.waits and (job.state in ("rendering", "fetching") or job.reason is Reason.WAITING_KEY):
            return


def _end(settings: Settings, seen: Job, output: Path | None, named: Path | None) -> int:
    """Tell how the job stands, by its row; the exit code."""
    try:
        found, path = row(settings, seen.ticket)
    except (SettingsError, DatabaseUnavailable):
        return _cut_off([seen])
    job = found or seen
    if job.state == "done" and job.clip:
        return _hand_over(job, path(job.clip), output, named)
    return without_clip(job)


def _hand_over(job: Job, clip: Path, output: Path | None, named: Path | None) -> int:
    shown = clip
    try:
        if output:
            onto_stdout = is_stdout(output)
            put(clip, output)
            if onto_stdout:
                return 0
            shown = named or output
    except OSError as error:
        failed = gettext("It could not be written as {path} ({why}).", path=named, why=error.strerror)
        say(paragraph(failed, gettext("The clip is {path}.", path=clip), ticket_of(job)))
    except KeyboardInterrupt:
        stopped = gettext("Stopped before it was written as {path}.", path=named)
        say(paragraph(stopped, gettext("The clip is {path}.", path=clip), ticket_of(job)))
    if trouble := write(f"{shown}\n", sys.stdout):
        failed = gettext("Its path could not be written ({why}).", why=trouble.strerror)
        say(paragraph(failed, gettext("The clip is {path}.", path=shown), ticket_of(job)))
    return 0


def _cut_off(seen: list[Job]) -> int:
    """For an end without a look at the job's row."""
    if not seen:
        say(gettext("Stopped before anything was sent. Nothing was charged."))
        return EXITS[Refused]
    job = seen[-1]
    code = (
        EXITS[NotDownloaded]
        if job.state in ("rendering", "fetching", "done")
        else ENDS.get(job.state, EXITS[ChargeUnknown])
    )
    charge = job.charge if job.simulated or code != EXITS[ChargeUnknown] else Charge.UNKNOWN
    last = "The ledger cannot be read now; it was {state} when it was seen last."
    fetch = gettext("`fetch` tells how it stands; do not make the clip again before that.")
    say(paragraph(gettext(last, state=gettext(job.state)), charge.sentence(), ticket_of(job), fetch))
    return code


def _show(job: Job) -> None:
    if not sys.stderr.isatty():
        return
    seconds = job.seconds
    stage, elapsed = list(seconds)[-1], round(sum(seconds.values()))
    status = f" ({job.status})" if job.status else ""
    line = job.waits or f"{job.provider}: {gettext(stage)}{status}"
    write("\r\x1b[K" if job.ended else f"\r\x1b[K{line} {elapsed // 60}:{elapsed % 60:02}", sys.stderr)
