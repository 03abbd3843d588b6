"""What commands open and look up: a job with its files, the simulator, and where to write."""

from collections.abc import Callable
from pathlib import Path

from ..errors import InputRejected, SettingsError
from ..jobs.files import files_in
from ..jobs.ledger import Ledger
from ..jobs.model import Job
from ..language import Sentence, gettext, paragraph
from ..output import destination
from ..photo.prepare import is_link
from ..settings import Settings
from ..simulator.service import Simulator
from .exits import ticket_of


def row(settings: Settings, ticket: str) -> tuple[Job | None, Callable[[str], Path]]:
    """The job, and where its photo and its clip are by now."""
    ledger = Ledger(settings.ledger_url)
    try:
        job, files = ledger.job(ticket), files_in(settings.data_dir, ledger.database)
        if job and job.state == "done":
            for name in filter(None, (job.clip, "" if is_link(job.photo) else job.photo)):
                files.has(name)
        return job, files.path
    finally:
        ledger.close()


def check_clip(job: Job, clip: Path) -> None:
    if not clip.is_file():
        raise InputRejected(paragraph(gettext("The clip's file is not here: `fetch` brings it."), ticket_of(job)))


def destination_of(path: Path) -> Path:
    # Before anything is paid for, and just as it is written then.
    try:
        return destination(path)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or gettext("its links lead in a circle")
        cannot = "The clip cannot be written as {path} ({why}): choose a file in a folder that you can write."
        raise InputRejected(gettext(cannot, path=path, why=why)) from None


def open_simulator(settings: Settings) -> Simulator:
    try:
        return Simulator(settings.data_dir / "simulator", seconds=settings.simulator_seconds)
    except OSError as error:
        no_place = Sentence("S2V_DATA_DIR: the simulator has no place in this folder ({why}).", why=error.strerror)
        raise SettingsError(no_place) from None
