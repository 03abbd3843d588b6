"""The same from a terminal: `python -m s2v_core --help`."""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import Away, InputRejected, Refused, S2VError, SettingsError, UnknownTicket
from .files import whole
from .images import is_link
from .settings import Settings

# The rest is imported where it is used, so that --help answers at once.
if TYPE_CHECKING:
    from .jobs import Job
    from .studio import Studio

_EXITS = {SettingsError: 2, InputRejected: 2, UnknownTicket: 2, Refused: 3, Away: 1}
_ENDS = {"refused": 3, "cancelled": 3, "failed": 4, "unknown": 5}
_STILL_RENDERING = 6


def main() -> int:
    arguments = _parser().parse_args()
    try:
        settings = Settings.from_environment()
        match arguments.command:
            case "generate" | "fetch":
                return asyncio.run(_clip(settings, arguments))
            case "jobs":
                return _jobs(settings)
            case "simulate":
                return _simulate(settings, arguments)
            case _:
                return asyncio.run(_check(settings))
    except S2VError as error:
        print(error, file=sys.stderr)
        return next(code for kind, code in _EXITS.items() if isinstance(error, kind))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m s2v_core",
        description="One portrait and one sentence become a six-second clip of that person.",
        epilog="Exit codes: 2 usage, or a photo or prompt that is not accepted; 3 refused, not charged; "
        "4 failed at the provider; 5 it is unknown whether it was charged; 6 still rendering: the ticket brings it.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    generate = commands.add_parser("generate", help="make a clip and print its path")
    generate.add_argument("photo", metavar="PHOTO|URL", help="a JPEG, PNG or WebP file, or a public https link")
    generate.add_argument("prompt", metavar="PROMPT", help="what the person does, and where")
    generate.add_argument("-o", "--output", type=Path, metavar="clip.mp4", help="where to put it")
    generate.add_argument("--no-optimizer", action="store_true", help="take the prompt literally")
    generate.add_argument("--service", choices=["simulator", "live"], help="default: live where there is a key")
    fetch = commands.add_parser("fetch", help="resume by ticket, also after a crash, and print the clip's path")
    fetch.add_argument("ticket", metavar="TICKET")
    fetch.add_argument("-o", "--output", type=Path, metavar="clip.mp4", help="where to put it")
    commands.add_parser("jobs", help="every job, its state and its charge, newest first")
    simulate = commands.add_parser("simulate", help="serve the simulator over HTTP, on this machine alone")
    simulate.add_argument("--port", type=int, default=8302)
    commands.add_parser("check", help="which service is used, and whether the key is accepted; a free call")
    return parser


async def _clip(settings: Settings, arguments: argparse.Namespace) -> int:
    if arguments.output:
        _check_writable(arguments.output)
    this = asyncio.current_task()
    assert this
    # Not on Windows, and not in a thread.
    with suppress(NotImplementedError, RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    async with _studio(settings) as studio:
        if arguments.command == "generate":
            job = await _submit(studio, arguments)
        else:
            job = await studio.fetch(arguments.ticket)
        # Stopped by a signal: the studio waits for the answer of a payment in flight, and then we tell how it stands.
        with suppress(asyncio.CancelledError):
            async for seen in studio.watch(job.ticket):
                _show(seen)
                if seen.waits and seen.state in ("rendering", "fetching"):
                    break
    return _end(settings, job.ticket, arguments.output)


def _studio(settings: Settings) -> "Studio":
    from .simulator import Simulator
    from .studio import Studio

    simulator = Simulator(settings.data_dir / "simulator", seconds=settings.simulator_seconds)
    return Studio(settings, simulator=simulator, resume=False)


async def _submit(studio: "Studio", arguments: argparse.Namespace) -> "Job":
    if arguments.service == "live" and "live" not in studio.services:
        raise SettingsError("S2V_API_KEY: the live service needs a key.")
    service = studio.services[arguments.service] if arguments.service else studio.default_service
    if service.price != 0 and is_link(arguments.photo):
        print("A link is never opened here: it cannot be checked before it costs.", file=sys.stderr)
    optimizer = not arguments.no_optimizer
    return await studio.submit(arguments.photo, arguments.prompt, prompt_optimizer=optimizer, service=service.name)


def _end(settings: Settings, ticket: str, output: Path | None) -> int:
    """From the ledger itself: the studio is closed, and all that it knew is written."""
    from .ledger import Ledger

    ledger = Ledger(settings.ledger_url)
    job = ledger.job(ticket)
    ledger.close()
    assert job
    if job.state == "done" and job.clip:
        clip = settings.data_dir / job.clip
        print(_copy(clip, output) if output else clip)
        return 0
    what = job.what or job.waits or "It is still rendering."
    task = f"Task {job.task_id}." if job.task_id else ""
    words = [what, job.charge.sentence, task, f"Ticket {ticket}.", job.advice]
    print(" ".join(word for word in words if word), file=sys.stderr)
    return _ENDS.get(job.state, _STILL_RENDERING)


def _jobs(settings: Settings) -> int:
    from .ledger import Ledger

    ledger = Ledger(settings.ledger_url)
    for job in ledger.jobs():
        amount = "?" if job.amount is None else f"{job.amount / 1000:g}"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.queued))
        prompt = " ".join(job.prompt.split())[:60]
        print(f"{job.ticket}  {when}  {job.state:9}  {job.charge:8}  {amount:>4} PTC  {job.provider}  {prompt}")
    ledger.close()
    return 0


def _simulate(settings: Settings, arguments: argparse.Namespace) -> int:
    import uvicorn

    from .simulator import Simulator

    simulator = Simulator(settings.data_dir / "simulator", seconds=settings.simulator_seconds)
    for prefix in ("/minimaxi/v1", "/v1"):
        print(f"S2V_BASE_URL=http://127.0.0.1:{arguments.port}{prefix}", flush=True)
    uvicorn.run(simulator, host="127.0.0.1", port=arguments.port, log_level="warning")
    return 0


async def _check(settings: Settings) -> int:
    if not settings.api_key:
        print("Simulator: free, nothing leaves this machine. For the live service set S2V_API_KEY.")
        return 0
    from .client import Client
    from .wire import NoNews, price_words

    async with Client(settings.base_url, settings.api_key, file_networks=settings.file_networks) as client:
        print(f"{client.provider}: {settings.base_url}, {price_words(settings.base_url)}.")
        way, refused = await client.way()
        print(way)
        if refused:
            print(refused, file=sys.stderr)
        try:
            await client.check()
        except NoNews as news:
            print(f"Whether the key is accepted stays open. {news}", file=sys.stderr)
            return 1
    print("The key is accepted.")
    return 0


def _show(job: "Job") -> None:
    if not sys.stderr.isatty():
        return
    seconds = job.seconds
    stage, elapsed = list(seconds)[-1], round(sum(seconds.values()))
    status = f" ({job.status})" if job.status else ""
    line = job.waits or f"{job.provider}: {stage}{status}"
    print(f"\r\x1b[K{line} {elapsed // 60}:{elapsed % 60:02}", end="", file=sys.stderr, flush=True)
    if job.ended:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _check_writable(path: Path) -> None:
    # Before anything is paid for.
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputRejected(f"The clip cannot be written as {path}: choose a file in a folder that you can write.")


def _copy(clip: Path, path: Path) -> Path:
    with whole(path) as part:
        shutil.copyfile(clip, part)
    return path


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
