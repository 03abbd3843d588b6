"""Where photos and clips lie, what may be shown of them, and when they go."""

import asyncio
import hashlib
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from .. import __version__, wire
from ..atomic import atomic_write
from ..clip import marks, pictures
from ..clip.boxes import NotWhole
from ..errors import ImageRejected
from ..photo.pixels import thumbnail
from ..photo.prepare import Photo, data_url, is_link
from ..reasons import Reason
from ..text import slug
from .files import FolderFiles
from .model import Job

_log = logging.getLogger(__name__)
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

# A reel lies in a folder named by so many letters of each of its clips' folders.
_REEL, _REELS, _PART = "s2v-reel.mp4", 20, 16
# Longer than a download may last, so nobody writes to it any more.
_DEAD_PART_SECONDS = 3600.0


class FileStore:
    """Rows name `files`; clips are published for a web server in `public_dir`. Every method but `run` blocks."""

    def __init__(self, files: FolderFiles, public_dir: Path) -> None:
        self._files, self._public_dir = files, public_dir
        self._arriving: set[str] = set()
        # Its own: behind a database that says nothing neither photos nor uploads wait.
        self._threads = ThreadPoolExecutor(8, "files")

    async def run(self, act: Callable[_Given, _Result], /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
        """One of the other methods, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(act, *given, **named))

    def keep(self, jpeg: bytes) -> str:
        """The name of a photo, for its row."""
        name = f"photos/{secrets.token_hex(16)}.jpg"
        self._files.keep(name, jpeg)
        return name

    def discard(self, name: str) -> None:
        """A photo that no row will name."""
        self._files.remove([name])

    @contextmanager
    def new_clip(self) -> Iterator[str]:
        """A name for a clip that is on its way; nothing is cleared away under it meanwhile."""
        name = f"clips/{secrets.token_hex(16)}.mp4"
        self._arriving.add(name.partition(".")[0])
        try:
            yield name
        finally:
            self._arriving.discard(name.partition(".")[0])

    def path(self, name: str) -> Path:
        """Where a photo or a clip lies, if it is here."""
        return self._files.path(name)

    def photo(self, name: str) -> Photo:
        """Raises `ImageRejected` where it is gone."""
        try:
            return Photo(self._files.read(name))
        except OSError:
            raise ImageRejected(Reason.PHOTO_GONE) from None

    def has(self, name: str) -> bool:
        """Whether the file is here by now."""
        return self._files.has(name)

    def is_kept(self, name: str) -> bool:
        """Whether there is such a file, here or elsewhere."""
        return bool(self._files.kept([name]))

    def pictures(self, job: Job) -> dict[str, str]:
        """Data URLs of the `reference`, small, and of the clip's `poster`, `stills` and `faces`, if they are here.

        With `faces`, `seen` is the JSON that `clip/stills.py` writes of them.
        """
        made: dict[str, str] = {}
        with suppress(OSError):
            if job.photo and not is_link(job.photo) and self.has(job.photo):
                made["reference"] = data_url(self._small(self.path(job.photo)))
        shown = pictures.pictures_of(self.path(job.clip)) if job.clip else []
        for name, path in zip(("poster", "stills", "faces", "seen"), shown, strict=False):
            with suppress(OSError):
                if data := path.read_bytes():
                    made[name] = data.decode() if name == "seen" else data_url(data)
        return made

    def is_pictured(self, job: Job) -> bool:
        """Whether all pictures of the clip were made."""
        return all(path.is_file() for path in pictures.pictures_of(self.path(job.clip)))

    def mark(self, name: str, job: Job) -> tuple[str, str]:
        """Say in a clip that nobody has seen yet who made it; the SHA-256 sums of its file before and after.

        One that cannot be marked stays as it came.
        """
        path = self.path(name)
        came = _sum(path)
        return came, _sum(path) if _marked(path, job) else came

    def publish(self, job: Job, *, scene: bool = False) -> Path:
        """A copy of the clip that may be served, named as a person would; the ticket alone leads to it.

        The `scene` is in it where that is asked for.
        """
        # Whoever was given the address of the one cannot guess the other's.
        kind, folder = "simulated-" if job.simulated else "", self._public_dir_of(job.ticket, scene=scene)
        copy = folder / f"s2v-{kind}{slug(job.prompt) or 'clip'}.mp4"
        self._files.publish(folder.name, [job.clip])
        if not copy.is_file():
            self.has(job.clip)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(copy) as part:
                shutil.copyfile(self.path(job.clip), part)
                if scene:
                    _marked(part, job, scene=True)
        return copy

    def reel(self, jobs: Sequence[Job]) -> Path:
        """The clips of these jobs as one, in a file that may be served until any of them is removed.

        Of all reels the `_REELS` newest are kept. Raises `NotJoined` and `OSError`.
        """
        # PyAV takes 35 ms and 20 MB.
        from ..clip.reel import join

        made = self._public_dir / "-".join(self._part(job.ticket) for job in jobs) / _REEL
        self._files.publish(made.parent.name, [job.clip for job in jobs])
        if not made.is_file():
            for job in jobs:
                self.has(job.clip)
            made.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(made) as part:
                join([(self.path(job.clip), maker_fields(job)) for job in jobs], part, version=__version__)
            for older in sorted(self._public_dir.glob(f"*/{_REEL}"), key=_age)[_REELS:]:
                shutil.rmtree(older.parent, ignore_errors=True)
        return made

    def _part(self, ticket: str) -> str:
        return self._public_dir_of(ticket).name[:_PART]

    def remove(self, ticket: str, photo: str, clip: str) -> None:
        """A job's photo, clip, pictures and what was published, reels too; an empty name is none. Raises `OSError`."""
        self._files.remove(self._names(photo, clip))
        for scene in (False, True):
            shutil.rmtree(self._public_dir_of(ticket, scene=scene), ignore_errors=True)
        # Also one that is being written: its folder goes, and so it comes to nothing.
        for reel in self._public_dir.glob("*-*"):
            if self._part(ticket) in reel.name.split("-"):
                shutil.rmtree(reel, ignore_errors=True)

    def sizes(self, jobs: Sequence[Job]) -> list[int]:
        """Bytes of each job's photo, clip and pictures."""
        names = [self._names(job.photo, job.clip) for job in jobs]
        sizes = self._files.sizes([name for each in names for name in each])
        return [sum(sizes.get(name, 0) for name in each) for each in names]

    def free(self) -> int:
        """Bytes that are free where the clips lie."""
        return shutil.disk_usage(self._files.path("")).free

    def may_be_served(self, folder: str) -> bool:
        """Whether all clips that were published in this folder still are. Raises `DatabaseUnavailable`."""
        if not self._files.shared:
            return True
        clips = self._files.published(folder)
        if not clips:
            # Nothing that is ours to judge, or a clip of which nobody knows any more what it shows.
            return not any((self._public_dir / folder).glob("s2v-*.mp4"))
        return self._files.kept(clips) == set(clips)

    def sweep(self) -> None:
        """What a dead process was writing, and what another machine has deleted."""
        for path in self._files.older(_DEAD_PART_SECONDS):
            if path.suffix == ".part":
                path.unlink(missing_ok=True)
        for folder in self._files.forget(self._arriving):
            shutil.rmtree(self._public_dir / folder, ignore_errors=True)
            # In this order: what is still there stays known.
            if not (self._public_dir / folder).exists():
                self._files.unpublish(folder)

    def clear_away(self, unnamed: Callable[[Collection[str]], set[str]]) -> None:
        """What no row names."""
        self._files.clear_away(unnamed, self._arriving)

    def _names(self, photo: str, clip: str) -> list[str]:
        """Of a job's files and of what was made of them."""
        found = []
        if photo and not is_link(photo):
            found += [photo, f"photos/{_small_of(self.path(photo)).name}"]
        if clip:
            found += [clip, *(f"clips/{path.name}" for path in pictures.pictures_of(self.path(clip)))]
        return found

    def _small(self, photo: Path) -> bytes:
        # Kept: a page asks for it at every change of a job.
        small = _small_of(photo)
        with suppress(FileNotFoundError):
            return small.read_bytes()
        jpeg = thumbnail(photo)
        # On a full disk it is made again.
        with suppress(OSError), atomic_write(small) as part:
            part.write_bytes(jpeg)
        # Deleted meanwhile? Then this goes too.
        if not photo.is_file():
            small.unlink(missing_ok=True)
        return jpeg

    def _public_dir_of(self, ticket: str, *, scene: bool = False) -> Path:
        name = f"{ticket} with its scene" if scene else ticket
        return self._public_dir / hashlib.sha256(name.encode()).hexdigest()[:32]


def _marked(path: Path, job: Job, *, scene: bool = False) -> bool:
    fields = marks.made_here(
        version="simulator" if job.simulated else __version__,
        # No model made a simulated one.
        system="" if job.simulated else _system(job),
        model=wire.MODEL,
        made=job.ended,
        scene=job.prompt if scene else "",
        optimizer=job.prompt_optimizer,
    )
    try:
        return marks.add(path, fields)
    except (NotWhole, marks.NotXmp, OSError) as error:
        _log.warning("%s is served as it came: %s", path.name, error)
        return False


def maker_fields(job: Job) -> dict[str, str]:
    """The fields of `clip/marks.py` that say so, also of a clip that could not be marked."""
    return {} if job.simulated else marks.by_model(_system(job), wire.MODEL)


def _system(job: Job) -> str:
    return f"MiniMax {wire.MODEL} through {job.provider}"


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _small_of(photo: Path) -> Path:
    return photo.with_suffix(".small.jpg")


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
