"""`jobs`, `move`, `simulate` and `check`: what its owner asks of an installation."""

import argparse
import asyncio
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import uvicorn

from ..client import Client
from ..errors import InputRejected, PollFailed, SettingsError
from ..jobs.database import Database
from ..jobs.ledger import Ledger
from ..jobs.loops import sentences
from ..jobs.model import Job
from ..jobs.move import move
from ..language import Sentence, gettext, paragraph
from ..mounts import ledger_folder
from ..output import write
from ..providers import price_of_a_clip
from ..settings import Settings
from .common import open_simulator
from .exits import say, tell

_NEWEST = 50
# A photo or a part of a clip goes over the network in one statement.
_MOVE_SECONDS = 30.0


def list_jobs(settings: Settings, arguments: argparse.Namespace) -> int:
    ledger = Ledger(settings.ledger_url)
    try:
        jobs = ledger.jobs(None if arguments.all else _NEWEST)
    finally:
        ledger.close()
    trouble = write("".join(f"{_line(job)}\n" for job in jobs), sys.stdout)
    if trouble and not isinstance(trouble, BrokenPipeError):
        raise SettingsError(Sentence("The list could not be written ({why}).", why=trouble.strerror))
    return 0


def _line(job: Job) -> str:
    amount = "?" if job.amount is None else f"{job.amount / 1000:g}"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.queued))
    prompt = " ".join(job.prompt.split())[:60]
    return f"{job.ticket}  {when}  {job.state:9}  {job.charge:8}  {amount:>4} PTC  {job.provider}  {prompt}"


def move_ledger(settings: Settings, arguments: argparse.Namespace) -> int:
    path: Path | None = arguments.ledger
    ledger = (path or ledger_folder(settings.data_dir) / "ledger.db").absolute()
    if not ledger.is_file():
        raise InputRejected(gettext("There is no ledger {path}.", path=ledger))
    source = Database(ledger, _MOVE_SECONDS)
    try:
        target = Database(settings.ledger_url, _MOVE_SECONDS)
        try:
            copied, missing = move(source, settings.data_dir, target)
        finally:
            target.close()
    finally:
        source.close()
    gone = "{count} of their files were not in {folder}."
    lost = gettext(gone, count=missing, folder=settings.data_dir) if missing else ""
    kept = "The old ledger and its files stay as they are, also what is deleted from now on: remove them yourself."
    tell(paragraph(gettext("{count} jobs were copied.", count=copied), lost, gettext(kept)))
    return 0


def simulate(settings: Settings, arguments: argparse.Namespace) -> int:
    try:
        listener = socket.create_server(("127.0.0.1", arguments.port))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        cannot = Sentence("--port: {port} cannot be listened on ({why}).", port=arguments.port, why=why)
        raise SettingsError(cannot) from None
    simulator = open_simulator(settings)
    for prefix in ("/minimaxi/v1", "/v1"):
        write(f"S2V_BASE_URL=http://127.0.0.1:{arguments.port}{prefix}\n", sys.stdout)
    server = uvicorn.Server(uvicorn.Config(simulator, log_level="warning", timeout_graceful_shutdown=5))
    with suppress(KeyboardInterrupt):
        server.run([listener])
    return 0


def check(settings: Settings, arguments: argparse.Namespace) -> int:
    return asyncio.run(_check(settings))


async def _check(settings: Settings) -> int:
    if not settings.api_key:
        tell(gettext("Simulator: free, nothing leaves this machine. For the live service set S2V_API_KEY."))
        tell(*_ledger_lines(settings))
        return 0
    async with Client(settings.base_url, settings.api_key, file_networks=settings.file_networks) as client:
        way, refused = await client.way()
        price = price_of_a_clip(settings.base_url)
        asked = gettext(
            "{provider}: {address}, {price}.", provider=client.provider, address=settings.base_url, price=price
        )
        tell(asked, way)
        at_once, a_minute = settings.concurrent, settings.per_minute
        limits = "With one key, at most {at_once} clips render at once, and {a_minute} are sent a minute."
        tell(gettext(limits, at_once=at_once, a_minute=a_minute))
        tell(*_ledger_lines(settings))
        if refused:
            say(refused)
        try:
            await client.check()
        except PollFailed as news:
            say(paragraph(gettext("Whether the key is accepted stays open."), str(news)))
            return 1
    tell(gettext("The key is accepted."))
    return 0


def _ledger_lines(settings: Settings) -> list[str]:
    """What can be lost of it, what is left today, and how each process on this ledger does."""
    lines = [settings.ledger_risk] if settings.ledger_risk else []
    if isinstance(settings.ledger_url, Path) and not settings.ledger_url.exists():
        return lines
    ledger = Ledger(settings.ledger_url)
    try:
        left = max(0, settings.clips_per_day - ledger.used_today())
        if settings.api_key:
            lines.append(gettext("{left} of {most} clips are left today.", left=left, most=settings.clips_per_day))
        return lines + (sentences(ledger.health()) or [gettext("No process is at work on this ledger.")])
    finally:
        ledger.close()
