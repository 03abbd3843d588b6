"""How a command ends: its exit code, and its words on the standard streams."""

import sys
from typing import TYPE_CHECKING

from ..errors import (
    ChargeUnknown,
    DatabaseUnavailable,
    DownloadFailed,
    Failed,
    InputRejected,
    NotDownloaded,
    PollFailed,
    Refused,
    SettingsError,
    UnknownTicket,
)
from ..language import gettext, paragraph
from ..output import write

if TYPE_CHECKING:
    from ..jobs.model import Job

EXITS = {
    DatabaseUnavailable: 1, PollFailed: 1, SettingsError: 2, InputRejected: 2, UnknownTicket: 2, Refused: 3, Failed: 4,
    ChargeUnknown: 5, NotDownloaded: 6, DownloadFailed: 6,
}  # fmt: skip
ENDS = {"refused": 3, "cancelled": 3, "failed": 4, "unknown": 5}


def without_clip(job: "Job") -> int:
    """Tell why; the exit code."""
    if job.state == "done":
        say(paragraph(job.what or gettext("Its clip was deleted here."), ticket_of(job)))
        return EXITS[UnknownTicket]
    what = job.what or job.waits or gettext("It is under way.")
    task = gettext("Task {task}.", task=job.task_id) if job.task_id else ""
    say(paragraph(what, job.charge.sentence(), task, ticket_of(job), job.advice))
    return ENDS.get(job.state, EXITS[NotDownloaded])


def ticket_of(job: "Job") -> str:
    return gettext("Ticket {ticket}.", ticket=job.ticket)


def tell(*lines: str) -> None:
    write("".join(f"{line}\n" for line in lines), sys.stdout)


def say(words: object) -> None:
    write(f"{words}\n", sys.stderr)
