"""The same from a terminal: `python -m s2v_core --help`."""

import argparse
import asyncio
import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import (
    Charge,
    ChargeUnknown,
    DatabaseUnavailable,
    DownloadFailed,
    Failed,
    InputRejected,
    NotDownloaded,
    PollFailed,
    Refused,
    S2VError,
    SettingsError,
    UnknownTicket,
)
from .language import EnglishRecord, gettext, of_environment, paragraph, read_in, said
from .output import destination, is_stdout, put, standard_streams, write
from .photo.prepare import Crop, Photo, is_link, prepare_async
from .reasons import Reason
from .server.signals import AWAITED, heard, interrupting
from .settings import Settings
from .text import is_slug, plain, slug

# The rest is imported where it is used, so that --help answers at once.
if TYPE_CHECKING:
    from .jobs.model import Job
    from .jobs.studio import Studio
    from .simulator.service import Simulator

EXITS = {
    DatabaseUnavailable: 1, PollFailed: 1, SettingsError: 2, InputRejected: 2, UnknownTicket: 2, Refused: 3, Failed: 4,
    ChargeUnknown: 5, NotDownloaded: 6, DownloadFailed: 6,
}  # fmt: skip
# What `show` tells of a file, by the fields of its XMP.
_SAID = {
    "tool": "xmp:CreatorTool", "made by": "Iptc4xmpExt:AISystemUsed", "made": "xmp:CreateDate",
    "source": "Iptc4xmpExt:DigitalSourceType", "scene": "s2v:Scene", "improved": "s2v:ImproveScene",
}  # fmt: skip
_ENDS = {"refused": 3, "cancelled": 3, "failed": 4, "unknown": 5}
_UNCLEAR, _UNDER_WAY = 5, 6
_NEWEST = 50
# A photo or a part of a clip goes over the network in one statement.
_MOVE_SECONDS = 30.0
# For what is asked of the ledger between a signal and the studio's end, which takes up to 8 s.
_MOMENT = 0.7
_FIRST_ANSWER = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    logging.setLogRecordFactory(EnglishRecord)
    with standard_streams(), read_in(of_environment(os.environ)):
        try:
            with interrupting():
                return _run(_parser().parse_args(arguments))
        except S2VError as error:
            _say(error)
            return next(code for kind, code in EXITS.items() if isinstance(error, kind))
        except KeyboardInterrupt:
            _say(gettext("Stopped before anything was sent. Nothing was charged."))
            return EXITS[Refused]
        except OSError as error:
            why = error.strerror or type(error).__name__
            _say(gettext("It could not be done ({why}). Nothing was sent.", why=why))
            return EXITS[SettingsError]


def _run(arguments: argparse.Namespace) -> int:
    settings = Settings.from_environment()
    match arguments.command:
        case "generate" | "fetch":
            return _clip(settings, arguments)
        case "jobs":
            return _jobs(settings, arguments)
        case "pin":
            return _pin(settings, arguments)
        case "join":
            return _join(settings, arguments)
        case "show":
            return _show_file(settings, arguments.clip)
        case "move":
            return _move(settings, arguments.ledger)
        case "simulate":
            return _simulate(settings, arguments)
        case _:
            return asyncio.run(_check(settings))


class _Parser(argparse.ArgumentParser):
    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        return super().add_argument(
            *names, **options | ({"help": gettext(options["help"])} if "help" in options else {})
        )

    def _print_message(self, message: str, file: Any = None) -> None:
        write(message, file or sys.stderr)


def _parser() -> argparse.ArgumentParser:
    codes = (
        "Exit codes: 1 the ledger does not answer; 2 usage, or a photo or prompt that is not accepted; "
        "3 refused, not charged; 4 failed at the provider; 5 it is unknown whether it was charged; "
        "6 under way: the ticket brings it."
    )
    what = gettext("One portrait and one sentence become a six-second clip of that person.")
    parser = _Parser(prog="python -m s2v_core", description=what, epilog=gettext(codes))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=gettext(what))

    generate = command("generate", "make a clip and print its path")
    generate.add_argument("photo", metavar="PHOTO|URL", help="a JPEG, PNG or WebP file, or a public https link")
    generate.add_argument("prompt", metavar="PROMPT", help="what the person does, and where")
    generate.add_argument("-o", "--output", type=Path, metavar="clip.mp4", help="where to put it")
    generate.add_argument("--no-optimizer", action="store_true", help="take the prompt literally")
    generate.add_argument("--service", choices=["simulator", "live"], help="default: live where there is a key")
    generate.add_argument("--turn", type=int, choices=[90, 180, 270], default=0, help="turn the photo clockwise")
    generate.add_argument("--crop", choices=["fit", "face"], help="if it is too wide or too tall, or around the face")
    generate.add_argument("--strict", action="store_true", help="send nothing if there is a warning about the photo")
    fetch = commands.add_parser("fetch", help="resume by ticket, also after a crash, and print the clip's path")
    fetch.add_argument("ticket", metavar="TICKET")
    fetch.add_argument("-o", "--output", type=Path, metavar="clip.mp4", help="where to put it")
    jobs = commands.add_parser("jobs", help="the newest 50 jobs, each with its state and its charge")
    jobs.add_argument("--all", action="store_true", help="every job")
    pin = commands.add_parser("pin", help="make an example for the page of a finished clip, and print its folder")
    pin.add_argument("ticket", metavar="TICKET")
    pin.add_argument("--name", help="of the example's folder, such as sea-wind; default: the scene's first words")
    pin.add_argument("--folder", type=Path, help="where examples lie; default: assets/examples, which the page shows")
    join = commands.add_parser("join", help="make one reel of finished clips, in this order, and print its path")
    join.add_argument("tickets", metavar="TICKET", nargs="+")
    join.add_argument("-o", "--output", type=Path, metavar="reel.mp4", required=True, help="where to put it")
    show = command("show", "what a clip's file says of itself, and whether it is from here")
    show.add_argument("clip", metavar="clip.mp4", type=Path)
    move = command("move", "copy an SQLite ledger and its files into the PostgreSQL in use")
    move.add_argument("--ledger", type=Path, metavar="ledger.db", help="default: the one in the data directory")
    simulate = command("simulate", "serve the simulator over HTTP, on this machine alone")
    simulate.add_argument("--port", type=_port, default=8302)
    commands.add_parser("check", help="which service is used, is the key accepted (a free call), what is left today")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise argparse.ArgumentTypeError(gettext("a port is a whole number from 1 to 65535"))
    return int(text)


def _clip(settings: Settings, arguments: argparse.Namespace) -> int:
    output = _destination(arguments.output) if arguments.output else None
    if arguments.command == "generate" and arguments.service == "simulator":
        # Which needs neither a way out nor certificates.
        settings = replace(settings, api_key="")
    seen: list[Job] = []
    stop = asyncio.Event()
    try:
        with (
            asyncio.Runner() as runner,
            heard(runner.get_loop(), stop.set, awaited=AWAITED, end=lambda: _cut_off(seen)),
        ):
            runner.run(_make(settings, arguments, stop, seen))
    except (KeyboardInterrupt, OSError, DatabaseUnavailable) as error:
        if seen:
            return _end(settings, seen[-1], output, arguments.output)
        if isinstance(error, OSError):
            raise SettingsError(f"S2V_DATA_DIR: this folder cannot be used ({error.strerror}).") from None
        raise
    if not seen:
        raise KeyboardInterrupt
    return _end(settings, seen[-1], output, arguments.output)


async def _make(settings: Settings, arguments: argparse.Namespace, stop: asyncio.Event, seen: "list[Job]") -> None:
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


def _studio(settings: Settings) -> "Studio":
    from .jobs.studio import Studio

    return Studio(settings, simulator=_simulator(settings), take_over=False)


def _simulator(settings: Settings) -> "Simulator":
    from .simulator.service import Simulator

    try:
        return Simulator(settings.data_dir / "simulator", seconds=settings.simulator_seconds)
    except OSError as error:
        raise SettingsError(f"S2V_DATA_DIR: the simulator has no place in this folder ({error.strerror}).") from None


async def _ask(studio: "Studio", arguments: argparse.Namespace) -> "Job":
    if arguments.command == "fetch":
        return await studio.resume(arguments.ticket)
    if arguments.service == "live" and studio.services.default.name != "live":
        raise SettingsError("S2V_API_KEY: the live service needs a key.")
    service = studio.services[arguments.service] if arguments.service else studio.services.default
    if service.price != 0 and is_link(arguments.photo):
        _say(gettext("A link is never opened here: it cannot be checked before it costs."))
    if service.price != 0 and (refused := await studio.refused()):
        _say(refused)
    photo = await _checked(arguments)
    optimizer = not arguments.no_optimizer
    try:
        return await studio.submit(photo, arguments.prompt, prompt_optimizer=optimizer, service=service.name)
    except DatabaseUnavailable:
        # It is in the ledger by now, or will be: what is not is `Refused`.
        tells = "`jobs` tells whether it was sent, as soon as they are there."
        raise ChargeUnknown(Reason.LEDGER_AWAY, advice=gettext(tells)) from None


async def _checked(arguments: argparse.Namespace) -> "Photo | str":
    """The photo as it will be sent, after what is to be said of it; a link as it is."""
    if is_link(arguments.photo):
        return str(arguments.photo)
    from .photo.advice import advise

    crop: Crop = "face" if arguments.crop == "face" else bool(arguments.crop)
    photo = await prepare_async(arguments.photo, crop=crop, turn=arguments.turn)
    advice = await asyncio.to_thread(advise, photo)
    for warning in advice.warnings:
        _say(said(warning))
    if advice.turn:
        turn = (arguments.turn + advice.turn) % 360
        _say(gettext("`--turn {degrees}` turns it." if turn else "It does not without `--turn`.", degrees=turn))
    if advice.crop:
        _say(gettext("`--crop face` cuts around the face."))
    if advice.warnings and arguments.strict:
        raise InputRejected(Reason.STRICT)
    return photo


async def _follow(studio: "Studio", seen: "list[Job]") -> None:
    """Until the job has ended, or waits for what this process cannot bring about."""
    first, began = seen[-1], time.monotonic()
    async for job in studio.watch(first.ticket):
        seen[:] = [job]
        _show(job)
        # What an earlier process wrote stands until this one has had an answer of its own.
        new = job.changed != first.changed or time.monotonic() > began + _FIRST_ANSWER
        if new and job.waits and (job.state in ("rendering", "fetching") or job.reason is Reason.WAITING_KEY):
            return


def _end(settings: Settings, seen: "Job", output: Path | None, named: Path | None) -> int:
    """Tell how the job stands, by its row; the exit code."""
    try:
        found, path = _row(settings, seen.ticket)
    except (SettingsError, DatabaseUnavailable):
        return _cut_off([seen])
    job = found or seen
    if job.state == "done" and job.clip:
        return _hand_over(job, path(job.clip), output, named)
    return _without_clip(job)


def _row(settings: Settings, ticket: str) -> "tuple[Job | None, Callable[[str], Path]]":
    """The job, and where its photo and its clip are by now."""
    from .jobs.files import files_in
    from .jobs.ledger import Ledger

    ledger = Ledger(settings.ledger_url)
    try:
        job, files = ledger.job(ticket), files_in(settings.data_dir, ledger.database)
        if job and job.state == "done":
            for name in filter(None, (job.clip, "" if is_link(job.photo) else job.photo)):
                files.has(name)
        return job, files.path
    finally:
        ledger.close()


def _without_clip(job: "Job") -> int:
    """Tell why; the exit code."""
    if job.state == "done":
        _say(paragraph(job.what or gettext("Its clip was deleted here."), _ticket(job)))
        return EXITS[UnknownTicket]
    what = job.what or job.waits or gettext("It is under way.")
    task = gettext("Task {task}.", task=job.task_id) if job.task_id else ""
    _say(paragraph(what, job.charge.sentence(), task, _ticket(job), job.advice))
    return _ENDS.get(job.state, _UNDER_WAY)


def _ticket(job: "Job") -> str:
    return gettext("Ticket {ticket}.", ticket=job.ticket)


def _hand_over(job: "Job", clip: Path, output: Path | None, named: Path | None) -> int:
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
        _say(paragraph(failed, gettext("The clip is {path}.", path=clip), _ticket(job)))
    except KeyboardInterrupt:
        stopped = gettext("Stopped before it was written as {path}.", path=named)
        _say(paragraph(stopped, gettext("The clip is {path}.", path=clip), _ticket(job)))
    if trouble := write(f"{shown}\n", sys.stdout):
        failed = gettext("Its path could not be written ({why}).", why=trouble.strerror)
        _say(paragraph(failed, gettext("The clip is {path}.", path=shown), _ticket(job)))
    return 0


def _cut_off(seen: "list[Job]") -> int:
    """For an end without a look at the job's row."""
    if not seen:
        _say(gettext("Stopped before anything was sent. Nothing was charged."))
        return EXITS[Refused]
    job = seen[-1]
    code = _UNDER_WAY if job.state in ("rendering", "fetching", "done") else _ENDS.get(job.state, _UNCLEAR)
    charge = job.charge if job.simulated or code != _UNCLEAR else Charge.UNKNOWN
    last = "The ledger cannot be read now; it was {state} when it was seen last."
    fetch = gettext("`fetch` tells how it stands; do not make the clip again before that.")
    _say(paragraph(gettext(last, state=gettext(job.state)), charge.sentence(), _ticket(job), fetch))
    return code


def _jobs(settings: Settings, arguments: argparse.Namespace) -> int:
    from .jobs.ledger import Ledger

    ledger = Ledger(settings.ledger_url)
    try:
        jobs = ledger.jobs(None if arguments.all else _NEWEST)
    finally:
        ledger.close()
    trouble = write("".join(f"{_line(job)}\n" for job in jobs), sys.stdout)
    if trouble and not isinstance(trouble, BrokenPipeError):
        raise SettingsError(f"The list could not be written ({trouble.strerror}).")
    return 0


def _line(job: "Job") -> str:
    amount = "?" if job.amount is None else f"{job.amount / 1000:g}"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.queued))
    prompt = " ".join(job.prompt.split())[:60]
    return f"{job.ticket}  {when}  {job.state:9}  {job.charge:8}  {amount:>4} PTC  {job.provider}  {prompt}"


def _pin(settings: Settings, arguments: argparse.Namespace) -> int:
    from .clip import example, marks
    from .clip.boxes import NotWhole
    from .clip.pictures import NotAClip
    from .page.cards import made_by

    job, path = _row(settings, arguments.ticket)
    if job is None:
        raise UnknownTicket
    if job.state != "done" or not job.clip:
        return _without_clip(job)
    clip, portrait = path(job.clip), path(job.photo)
    _check_files(job, clip, portrait)
    folder = _example(job, arguments.name, arguments.folder or example.EXAMPLES)
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts = {"scene": job.prompt, "made_by": made_by(job), "simulated": job.simulated, "date": date}
    try:
        said = marks.box(marks.read(clip).fields)
        example.make(folder, clip=clip, portrait=portrait, facts=facts, marks=said)
    except (NotAClip, NotWhole):
        none = gettext("No example can be made of this clip.")
        raise InputRejected(paragraph(none, _ticket(job))) from None
    except FileExistsError:
        raise _taken(folder.name) from None
    _tell(str(folder))
    return 0


def _show_file(settings: Settings, path: Path) -> int:
    from .clip import marks
    from .clip.boxes import NotWhole
    from .clip.pictures import NotAClip, size

    try:
        found, bare = marks.read(path), marks.without(path)
    except NotWhole as error:
        raise InputRejected(gettext("{name} is no whole MP4: {why}.", name=path.name, why=error)) from None
    lines = [(name, plain(found.fields.get(field, ""), 2100)) for name, field in _SAID.items()]
    kinds = {"XMP": bool(found.fields), "C2PA": found.c2pa, "AIGC": found.aigc}
    lines.append(("marks", ", ".join(name for name, there in kinds.items() if there) or gettext("none")))
    if found.unread:
        lines.append(("not read", gettext("its XMP: {why}", why=found.unread)))
    try:
        width, height, seconds = asyncio.run(size(path))
        lines.append(("video", f"{width} × {height}, {seconds:.1f} s"))
    except NotAClip:
        lines.append(("video", gettext("none that can be shown")))
    lines.append(("bytes", _known(settings, path, bare)))
    for name, text in lines:
        if text:
            _tell(f"{gettext(name) + ':':12}{text}")
    return 0


def _known(settings: Settings, path: Path, bare: bytes) -> str:
    """Whether a file is one from here, by its bytes and by those without a mark of ours."""
    from .jobs.ledger import Ledger

    ledger, sums = Ledger(settings.ledger_url), [hashlib.sha256(data).hexdigest() for data in (path.read_bytes(), bare)]
    try:
        job = ledger.of_file(sums)
    finally:
        ledger.close()
    if job is None:
        return gettext("of no clip that is known here")
    if job.came_sha256 == sums[0]:
        return gettext("those that were downloaded here")
    marked = job.came_sha256 == sums[1]
    return gettext("those that were downloaded here, with our mark" if marked else "those that are served here")


def _join(settings: Settings, arguments: argparse.Namespace) -> int:
    from .clip import reel
    from .clip.marks import MOST_PARTS, NotJoined
    from .jobs.store import made_by

    parts = []
    if not 2 <= len(arguments.tickets) <= MOST_PARTS:
        raise InputRejected(gettext("A reel has 2 to {most} clips.", most=MOST_PARTS))
    for ticket in arguments.tickets:
        job, path = _row(settings, ticket)
        if job is None:
            raise UnknownTicket
        if job.state != "done" or not job.clip:
            return _without_clip(job)
        clip = path(job.clip)
        _check_clip(job, clip)
        parts.append((clip, made_by(job)))
    with TemporaryDirectory() as folder:
        made = Path(folder) / "reel.mp4"
        try:
            if not reel.join(parts, made, version=__version__):
                _say(gettext("These clips are not of one kind, so they were encoded anew."))
        except NotJoined as error:
            raise InputRejected(error.args[0]) from None
        output = _destination(arguments.output)
        put(made, output)
    if not is_stdout(output):
        _tell(str(arguments.output))
    return 0


def _move(settings: Settings, path: Path | None) -> int:
    from .jobs.database import Database
    from .jobs.move import move
    from .mounts import ledger_folder

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
    _tell(paragraph(gettext("{count} jobs were copied.", count=copied), lost, gettext(kept)))
    return 0


def _check_clip(job: "Job", clip: Path) -> None:
    if not clip.is_file():
        raise InputRejected(paragraph(gettext("The clip's file is not here: `fetch` brings it."), _ticket(job)))


def _check_files(job: "Job", clip: Path, portrait: Path) -> None:
    _check_clip(job, clip)
    if is_link(job.photo):
        link = "An example shows its portrait, and this one is a link, which is never opened here."
        raise InputRejected(gettext(link))
    if not portrait.is_file():
        gone = gettext("An example shows its portrait, which is no longer here.")
        raise InputRejected(paragraph(gone, _ticket(job)))


def _example(job: "Job", name: str | None, examples: Path) -> Path:
    name = slug(job.prompt) if name is None else name
    if not is_slug(name):
        rule = (
            "An example's name has small letters a to z, digits and single hyphens, at most 60, such as sea-wind: "
            "choose one with --name."
        )
        raise InputRejected(gettext(rule))
    if (examples / name).exists():
        raise _taken(name)
    return examples / name


def _taken(name: str) -> InputRejected:
    taken = "There is an example named {name} already: choose another name with --name."
    return InputRejected(gettext(taken, name=name))


def _simulate(settings: Settings, arguments: argparse.Namespace) -> int:
    import socket

    import uvicorn

    try:
        listener = socket.create_server(("127.0.0.1", arguments.port))
    except OSError as error:
        raise SettingsError(
            f"--port: {arguments.port} cannot be listened on ({os.strerror(error.errno or 0)})."
        ) from None
    simulator = _simulator(settings)
    for prefix in ("/minimaxi/v1", "/v1"):
        write(f"S2V_BASE_URL=http://127.0.0.1:{arguments.port}{prefix}\n", sys.stdout)
    server = uvicorn.Server(uvicorn.Config(simulator, log_level="warning", timeout_graceful_shutdown=5))
    with suppress(KeyboardInterrupt):
        server.run([listener])
    return 0


async def _check(settings: Settings) -> int:
    if not settings.api_key:
        _tell(gettext("Simulator: free, nothing leaves this machine. For the live service set S2V_API_KEY."))
        _tell(*_ledger_lines(settings))
        return 0
    from .client import Client
    from .providers import price_of_a_clip

    async with Client(settings.base_url, settings.api_key, file_networks=settings.file_networks) as client:
        way, refused = await client.way()
        _tell(f"{client.provider}: {settings.base_url}, {price_of_a_clip(settings.base_url)}.", way)
        at_once, a_minute = settings.concurrent, settings.per_minute
        limits = "With one key, at most {at_once} clips render at once, and {a_minute} are sent a minute."
        _tell(gettext(limits, at_once=at_once, a_minute=a_minute))
        _tell(*_ledger_lines(settings))
        if refused:
            _say(refused)
        try:
            await client.check()
        except PollFailed as news:
            _say(paragraph(gettext("Whether the key is accepted stays open."), str(news)))
            return 1
    _tell(gettext("The key is accepted."))
    return 0


def _ledger_lines(settings: Settings) -> list[str]:
    """What can be lost of it, what is left today, and how each process on this ledger does."""
    from .jobs.ledger import Ledger
    from .jobs.loops import sentences

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


def _show(job: "Job") -> None:
    if not sys.stderr.isatty():
        return
    seconds = job.seconds
    stage, elapsed = list(seconds)[-1], round(sum(seconds.values()))
    status = f" ({job.status})" if job.status else ""
    line = job.waits or f"{job.provider}: {gettext(stage)}{status}"
    write("\r\x1b[K" if job.ended else f"\r\x1b[K{line} {elapsed // 60}:{elapsed % 60:02}", sys.stderr)


def _destination(path: Path) -> Path:
    # Before anything is paid for, and just as it is written then.
    try:
        return destination(path)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or gettext("its links lead in a circle")
        cannot = "The clip cannot be written as {path} ({why}): choose a file in a folder that you can write."
        raise InputRejected(gettext(cannot, path=path, why=why)) from None


def _tell(*lines: str) -> None:
    write("".join(f"{line}\n" for line in lines), sys.stdout)


def _say(words: object) -> None:
    write(f"{words}\n", sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
