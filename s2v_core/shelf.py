"""Where photos and clips lie, what may be shown of them, and when they go. Every method blocks."""

import hashlib
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from . import clips
from .files import whole
from .images import Photo, is_link, thumbnail
from .jobs import Job

_FOLDERS = ("photos", "clips")
# Longer than a download may stall, so nobody writes to it any more.
_DEAD_PART_SECONDS = 60.0
_ORPHAN_SECONDS = 3600.0


class Shelf:
    """Rows name files relative to `folder`; clips are lent to a web server from `lent`."""

    def __init__(self, folder: Path, lent: Path) -> None:
        self._folder, self._lent = folder, lent

    def make(self) -> None:
        for name in _FOLDERS:
            (self._folder / name).mkdir(parents=True, exist_ok=True)

    def keep(self, jpeg: bytes) -> str:
        """The name of a photo, for its row."""
        name = f"photos/{secrets.token_hex(16)}.jpg"
        with whole(self._folder / name) as part:
            part.write_bytes(jpeg)
        return name

    def new_clip(self) -> str:
        """A name for a clip that is not there yet."""
        return f"clips/{secrets.token_hex(16)}.mp4"

    def path(self, name: str) -> Path:
        """Where a photo or a clip lies."""
        return self._folder / name

    def pictures(self, job: Job) -> dict[str, str]:
        """Data URLs of the `reference`, small, and of the clip's `poster` and `stills`, as far as they are here."""
        made: dict[str, str] = {}
        with suppress(OSError):
            if job.photo and not is_link(job.photo):
                made["reference"] = thumbnail(self.path(job.photo)).data_url
        shown = clips.pictures_of(self.path(job.clip)) if job.clip else []
        for name, path in zip(("poster", "stills"), shown, strict=False):
            with suppress(OSError):
                made[name] = Photo(path.read_bytes(), 0, 0).data_url
        return made

    def lend(self, job: Job) -> Path:
        """A copy of the clip that may be served, named as a person would; the ticket alone leads to it."""
        words = "-".join(re.findall(r"[a-z0-9]+", job.prompt.lower())[:6])[:60]
        kind = "simulated-" if job.service == "simulator" else ""
        copy = self._lent_to(job) / f"s2v-{kind}{words or 'clip'}.mp4"
        if not copy.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with whole(copy) as part:
                shutil.copyfile(self.path(job.clip), part)
        return copy

    def remove(self, job: Job) -> None:
        """Photo, clip, pictures and what was lent."""
        if job.photo and not is_link(job.photo):
            self.path(job.photo).unlink(missing_ok=True)
        if job.clip:
            for path in (self.path(job.clip), *clips.pictures_of(self.path(job.clip))):
                path.unlink(missing_ok=True)
        shutil.rmtree(self._lent_to(job), ignore_errors=True)

    def sweep_parts(self) -> None:
        """What a dead process was writing."""
        for path in self._older(_DEAD_PART_SECONDS):
            if path.suffix == ".part":
                path.unlink(missing_ok=True)

    def sweep_orphans(self, named: Collection[str]) -> None:
        """What never got into a row, as its process was killed before."""
        kept = {_stem(Path(name)) for name in named}
        for path in self._older(_ORPHAN_SECONDS):
            if _stem(path) not in kept:
                path.unlink(missing_ok=True)

    def _older(self, seconds: float) -> Iterator[Path]:
        for name in _FOLDERS:
            for path in list((self._folder / name).iterdir()):
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > seconds:
                        yield path

    def _lent_to(self, job: Job) -> Path:
        return self._lent / hashlib.sha256(job.ticket.encode()).hexdigest()[:32]


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]
