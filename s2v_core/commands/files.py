"""`pin`, `join` and `show`: what is made of finished clips, and what a file says of itself."""

import argparse
import asyncio
import hashlib
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import __version__
from ..clip import example, marks, reel
from ..clip.boxes import NotWhole
from ..clip.marks import MOST_PARTS, NotJoined
from ..clip.pictures import NotAClip, size
from ..errors import InputRejected, UnknownTicket
from ..jobs.ledger import Ledger
from ..jobs.model import Job
from ..jobs.store import maker_fields
from ..language import gettext, paragraph
from ..output import is_stdout, put
from ..page.cards import made_by
from ..photo.prepare import is_link
from ..settings import Settings
from ..text import is_slug, plain, slug
from .common import check_clip, destination_of, row
from .exits import say, tell, ticket_of, without_clip

# What `show` tells of a file, by the fields of its XMP.
_SAID = {
    "tool": "xmp:CreatorTool", "made by": "Iptc4xmpExt:AISystemUsed", "made": "xmp:CreateDate",
    "source": "Iptc4xmpExt:DigitalSourceType", "scene": "s2v:Scene", "improved": "s2v:ImproveScene",
}  # fmt: skip


def pin(settings: Settings, arguments: argparse.Namespace) -> int:
    job, path = row(settings, arguments.ticket)
    if job is None:
        raise UnknownTicket
    if job.state != "done" or not job.clip:
        return without_clip(job)
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
        raise InputRejected(paragraph(none, ticket_of(job))) from None
    except FileExistsError:
        raise _taken(folder.name) from None
    tell(str(folder))
    return 0


def show(settings: Settings, arguments: argparse.Namespace) -> int:
    path: Path = arguments.clip
    try:
        found, bare = marks.read(path), marks.without(path)
    except NotWhole as error:
        raise InputRejected(gettext("{name} is no whole MP4: {why}.", name=path.name, why=error.args[0])) from None
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
            tell(f"{gettext(name) + ':':12}{text}")
    return 0


def _known(settings: Settings, path: Path, bare: bytes) -> str:
    """Whether a file is one from here, by its bytes and by those without a mark of ours."""
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


def join(settings: Settings, arguments: argparse.Namespace) -> int:
    parts = []
    if not 2 <= len(arguments.tickets) <= MOST_PARTS:
        raise InputRejected(gettext("A reel has 2 to {most} clips.", most=MOST_PARTS))
    for ticket in arguments.tickets:
        job, path = row(settings, ticket)
        if job is None:
            raise UnknownTicket
        if job.state != "done" or not job.clip:
            return without_clip(job)
        clip = path(job.clip)
        check_clip(job, clip)
        parts.append((clip, maker_fields(job)))
    with TemporaryDirectory() as folder:
        made = Path(folder) / "reel.mp4"
        try:
            if not reel.join(parts, made, version=__version__):
                say(gettext("These clips are not of one kind, so they were encoded anew."))
        except NotJoined as error:
            raise InputRejected(error.args[0]) from None
        output = destination_of(arguments.output)
        put(made, output)
    if not is_stdout(output):
        tell(str(arguments.output))
    return 0


def _check_files(job: Job, clip: Path, portrait: Path) -> None:
    check_clip(job, clip)
    if is_link(job.photo):
        link = "An example shows its portrait, and this one is a link, which is never opened here."
        raise InputRejected(gettext(link))
    if not portrait.is_file():
        gone = gettext("An example shows its portrait, which is no longer here.")
        raise InputRejected(paragraph(gone, ticket_of(job)))


def _example(job: Job, name: str | None, examples: Path) -> Path:
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
