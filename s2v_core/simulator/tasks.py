"""The simulator's tasks on disk: each a record, a photo and in the end a clip, all in one folder."""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ..atomic import atomic_write
from ..eviction import evict

_KEEP_SECONDS = 24 * 3600.0
_ID = re.compile("[0-9]{15,18}")
_OURS = re.compile(r"[0-9]{15,18}\.(json|jpg|mp4)(\.[0-9a-f]+\.part)?")


@dataclass(frozen=True, slots=True)
class RenderTask:
    """`created` is a Unix time."""

    id: str
    file_id: str
    created: float
    secret: str = field(repr=False)

    def sign(self, expires: str) -> str:
        """What a link to the clip carries, so that nobody else can make one."""
        digest = hmac.digest(self.secret.encode(), f"{self.file_id}\n{expires}".encode(), hashlib.sha256)
        return base64.b64encode(digest).decode()


class TaskFolder:
    """What is a day old goes when it is opened, and beyond `most_bytes` the oldest; nothing of others ever does."""

    def __init__(self, folder: Path, *, most_bytes: int, clock: Callable[[], float]) -> None:
        self._folder, self._most_bytes, self._clock = folder, most_bytes, clock
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                if _OURS.fullmatch(path.name) and clock() - path.stat().st_mtime > _KEEP_SECONDS:
                    path.unlink()

    def add(self, photo: bytes) -> RenderTask:
        """A new task, whose photo is on the disk before its record."""
        evict(self._folder, self._most_bytes, spare=lambda name: not _OURS.fullmatch(name))
        task = RenderTask(_new_id(), _new_id(), self._clock(), secrets.token_hex(16))
        for path, data in ((self.photo(task), photo), (self._record(task.id), json.dumps(asdict(task)).encode())):
            with atomic_write(path) as part:
                part.write_bytes(data)
        return task

    def by_id(self, task_id: str) -> RenderTask | None:
        with suppress(FileNotFoundError):
            if _ID.fullmatch(task_id):
                kept = json.loads(self._record(task_id).read_bytes())
                # One of an earlier version has more in it.
                return RenderTask(**{each.name: kept[each.name] for each in fields(RenderTask)})
        return None

    def by_file(self, file_id: str) -> RenderTask | None:
        tasks = (self.by_id(path.stem) for path in self._folder.glob("*.json"))
        return next((task for task in tasks if task and task.file_id == file_id), None)

    def photo(self, task: RenderTask) -> Path:
        return self._folder / f"{task.id}.jpg"

    def clip(self, task: RenderTask) -> Path:
        return self._folder / f"{task.file_id}.mp4"

    def forget(self, task_id: str) -> None:
        if task := self.by_id(task_id):
            for path in (self._record(task.id), self.photo(task), self.clip(task)):
                path.unlink(missing_ok=True)

    def _record(self, task_id: str) -> Path:
        return self._folder / f"{task_id}.json"


def _new_id() -> str:
    least = 10 ** (14 + secrets.randbelow(4))
    return str(least + secrets.randbelow(9 * least))
