"""The same from a terminal: `python -m s2v_core --help`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .commands.exits import EXITS, say
from .errors import Refused, S2VError, SettingsError
from .language import EnglishRecord, gettext, of_environment, read_in
from .output import standard_streams, write
from .server.signals import interrupting
from .settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    logging.setLogRecordFactory(EnglishRecord)
    with standard_streams(), read_in(of_environment(os.environ)):
        try:
            with interrupting():
                return _run(_parser().parse_args(arguments))
        except S2VError as error:
            say(error)
            return next(code for kind, code in EXITS.items() if isinstance(error, kind))
        except KeyboardInterrupt:
            say(gettext("Stopped before anything was sent. Nothing was charged."))
            return EXITS[Refused]
        except OSError as error:
            why = error.strerror or type(error).__name__
            say(gettext("It could not be done ({why}). Nothing was sent.", why=why))
            return EXITS[SettingsError]


def _run(arguments: argparse.Namespace) -> int:
    settings = Settings.from_environment()
    # Imported where it is used, so that --help answers at once.
    match arguments.command:
        case "generate" | "fetch":
            from .commands.generate import make_clip as command
        case "pin":
            from .commands.files import pin as command
        case "join":
            from .commands.files import join as command
        case "show":
            from .commands.files import show as command
        case "jobs":
            from .commands.installation import list_jobs as command
        case "move":
            from .commands.installation import move_ledger as command
        case "simulate":
            from .commands.installation import simulate as command
        case _:
            from .commands.installation import check as command
    return command(settings, arguments)


class _Parser(argparse.ArgumentParser):
    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        return super().add_argument(
            *names, **options | ({"help": gettext(options["help"])} if "help" in options else {})
        )

    def _print_message(self, message: str, file: Any = None) -> None:
        write(message, file or sys.stderr)


def _parser() -> argparse.ArgumentParser:
    # It looks its own words up under this name, in catalogues that nobody has.
    vars(argparse)["_"] = gettext
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
    fetch = command("fetch", "resume by ticket, also after a crash, and print the clip's path")
    fetch.add_argument("ticket", metavar="TICKET")
    fetch.add_argument("-o", "--output", type=Path, metavar="clip.mp4", help="where to put it")
    jobs = command("jobs", "the newest 50 jobs, each with its state and its charge")
    jobs.add_argument("--all", action="store_true", help="every job")
    pin = command("pin", "make an example for the page of a finished clip, and print its folder")
    pin.add_argument("ticket", metavar="TICKET")
    pin.add_argument("--name", help="of the example's folder, such as sea-wind; default: the scene's first words")
    pin.add_argument("--folder", type=Path, help="where examples lie; default: assets/examples, which the page shows")
    join = command("join", "make one reel of finished clips, in this order, and print its path")
    join.add_argument("tickets", metavar="TICKET", nargs="+")
    join.add_argument("-o", "--output", type=Path, metavar="reel.mp4", required=True, help="where to put it")
    show = command("show", "what a clip's file says of itself, and whether it is from here")
    show.add_argument("clip", metavar="clip.mp4", type=Path)
    move = command("move", "copy an SQLite ledger and its files into the PostgreSQL in use")
    move.add_argument("--ledger", type=Path, metavar="ledger.db", help="default: the one in the data directory")
    simulate = command("simulate", "serve the simulator over HTTP, on this machine alone")
    simulate.add_argument("--port", type=_port, default=8302)
    command("check", "which service is used, is the key accepted (a free call), what is left today")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise argparse.ArgumentTypeError(gettext("a port is a whole number from 1 to 65535"))
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
