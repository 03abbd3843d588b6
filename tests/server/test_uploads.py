"""Photos that come in: whole or not at all, within their room, and gone after a day."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.types import Message

from s2v_core.server.guard import Guard
from s2v_core.server.limits import ServerLimits
from s2v_core.server.requests import HttpRefusal
from s2v_core.server.uploads import Uploads, expire

from ..support.waiting import until

HEAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
END = b"\r\n--x--\r\n"


class Sender:
    """Sends one upload as a test lets it."""

    def __init__(self, uploads: Uploads, **headers: str) -> None:
        self._given: asyncio.Queue[Message] = asyncio.Queue()
        self.answer = b""
        kept = {"content-type": "multipart/form-data; boundary=x"} | headers
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in kept.items()]
        self.task = asyncio.create_task(uploads({"type": "http", "headers": raw}, self._given.get, self._hear))

    def send(self, data: bytes, *, more: bool = True) -> None:
        self._given.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def leave(self) -> None:
        self._given.put_nowait({"type": "http.disconnect"})

    async def _hear(self, message: Message) -> None:
        self.answer += message.get("body", b"")


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix != ".part"]


async def until_written(folder: Path, size: int) -> None:
    await until(lambda: sum(path.stat().st_size for path in folder.glob("*.part")) >= size, "so much has arrived")


async def test_nothing_has_its_name_before_it_is_whole(tmp_path: Path) -> None:
    sender = Sender(Uploads(tmp_path / "new", ServerLimits()))
    sender.send(HEAD + bytes(100_000))
    await until_written(tmp_path / "new", 90_000)
    assert kept(tmp_path / "new") == []
    sender.send(END, more=False)
    await sender.task
    (path,) = kept(tmp_path / "new")
    assert sender.answer.decode() == f'["{path}"]'
    assert path.read_bytes() == bytes(100_000)
    assert list((tmp_path / "new").iterdir()) == [path]


@pytest.mark.parametrize("sent", [HEAD + bytes(1000), HEAD + bytes(1000) + END], ids=["half of it", "all but the end"])
async def test_of_whom_leaves_nothing_stays(sent: bytes, tmp_path: Path) -> None:
    sender = Sender(Uploads(tmp_path, ServerLimits()))
    sender.send(sent)
    sender.leave()
    with pytest.raises(HttpRefusal, match="cut short"):
        await sender.task
    assert list(tmp_path.iterdir()) == []


async def test_of_an_upload_that_is_ended_with_the_server_nothing_stays(tmp_path: Path) -> None:
    sender = Sender(Uploads(tmp_path, ServerLimits()))
    sender.send(HEAD + bytes(20_000))
    await until_written(tmp_path, 19_000)
    sender.task.cancel()
    await asyncio.wait([sender.task])
    assert list(tmp_path.iterdir()) == []


async def test_an_upload_does_not_wait_for_the_usual_threads(tmp_path: Path) -> None:
    end = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    busy = asyncio.create_task(asyncio.to_thread(end.wait))
    await asyncio.sleep(0)
    sender = Sender(Uploads(tmp_path, ServerLimits()))
    sender.send(HEAD + b"1" + END, more=False)
    try:
        async with asyncio.timeout(10):
            await sender.task
    finally:
        end.set()
        await busy
    assert len(kept(tmp_path)) == 1


async def test_what_arrives_is_not_removed_to_make_room_for_others(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, ServerLimits(cache_bytes=100_000))
    slow = Sender(uploads, content_length="40000")
    slow.send(HEAD + bytes(30_000))
    await until_written(tmp_path, 29_000)
    for _ in range(4):
        other = Sender(uploads, content_length="30000")
        other.send(HEAD + bytes(29_000) + END, more=False)
        await other.task
        assert len(kept(tmp_path)) == 1
    with pytest.raises(HttpRefusal, match="Too much is being uploaded at once"):
        await Sender(uploads, content_length="70000").task
    slow.send(END, more=False)
    await slow.task
    assert sorted(path.stat().st_size for path in kept(tmp_path)) == [29_000, 30_000]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_upload_goes_a_day_after_it_came_and_nothing_else_does(tmp_path: Path) -> None:
    ours = [f"{number:032x}{ending}" for number, ending in enumerate((".jpg", ".jpeg", ".png", ".webp", "", ".part"))]
    others = ["clip.mp4", "a" * 64, f"{7:032x}.mp4", "portrait.jpg"]
    # What has a folder of its own: a portrait that was made of an upload, and a clip that is shown.
    ours.append(f"{8:032x}/portrait.jpg")
    others += [f"{9:032x}/s2v-clip.mp4"]
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, time.time() - 86_300))
    expire(tmp_path, 86_400)
    assert names(tmp_path) == {*ours, *others}
    expire(tmp_path, 86_200)
    assert names(tmp_path) == set(others)
    assert not (tmp_path / f"{8:032x}").exists()
    expire(tmp_path / "none", 86_400)


async def test_old_uploads_go_as_long_as_the_server_runs(tmp_path: Path) -> None:
    old = tmp_path / f"{1:032x}.jpg"
    old.touch()
    os.utime(old, (0, 0))

    async def app(*_: object) -> None:
        await until(lambda: not old.exists(), "the old one is gone")

    await Guard(app, folder=tmp_path)({"type": "lifespan"}, app, app)
    assert len(asyncio.all_tasks()) == 1
