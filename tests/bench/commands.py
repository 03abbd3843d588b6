"""Our command beside MiniMax's own and a script around curl, on the same photo and service, in turns.

`python -m tests.bench.commands`. MiniMax's is `mmx`, from npm's package mmx-cli: in the path, or named by `S2V_MMX`.
"""

import argparse
import asyncio
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from s2v_core.client import Client

from ..support.clips import small_clip
from ..support.forks import ROOT
from ..support.paid import PaidService
from ..support.photos import ASSETS, PORTRAIT
from ..support.service import FILE, KEY, Answer, Service, code, in_thread
from .rows import Row

# What a person writes who has read the service's documentation.
SCRIPT = r"""
set -eu
ask() { curl --silent --show-error --header "Authorization: Bearer $KEY" "$@"; }
field() { sed -E 's/.*"'"$1"'": *"?([^",}]*).*/\1/'; }
{ printf '{"model": "S2V-01", "prompt": "%s", "subject_reference": [{"type": "character", "image": [' "$2"
  printf '"data:image/jpeg;base64,%s"]}]}' "$(base64 -w0 "$1")"; } > "$3/body.json"
task=$(ask --header 'Content-Type: application/json' --header 'Expect:' --data-binary "@$3/body.json" \
  "$URL/video_generation" | grep '"task_id"' | field task_id)
test -n "$task"
while :; do
  sleep 5
  answer=$(ask "$URL/query/video_generation?task_id=$task")
  case "$answer" in *'"Success"'*) break ;; *'"Fail"'*) exit 1 ;; esac
done
file=$(printf '%s' "$answer" | field file_id)
curl --silent --output "$3/clip.mp4" "$(ask "$URL/files/retrieve?file_id=$file" | field download_url)"
"""
# MiniMax's own asks for a clip over https alone, which there is none of on loopback.
PLAIN = "--import data:text/javascript," + quote(
    "const usual = fetch; "
    "globalThis.fetch = (url, options) => usual(`${url}`.replace('https://127.', 'http://127.'), options)"
)
RENDERS = (41.3, 47.9, 53.2, 58.8, 66.1, 71.7)


@dataclass
class Command:
    """A way to make a clip of a photo and a prompt, whose file is `clip.mp4` in a folder."""

    name: str
    line: Callable[[Path, str, Path, str], list[str]]

    def start(self, photo: Path, prompt: str, folder: Path, service: Service) -> subprocess.Popen[bytes]:
        folder.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("S2V_")}
        ours = {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url, "S2V_DATA_DIR": str(folder / "data")}
        theirs = {"HOME": str(folder), "KEY": KEY, "URL": service.base_url, "NODE_OPTIONS": PLAIN}
        return subprocess.Popen(
            self.line(photo, prompt, folder, service.origin), env=kept | ours | theirs, cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def commands() -> list[Command]:
    """Ours first."""

    def our(photo: Path, prompt: str, folder: Path, _: str) -> list[str]:
        return [sys.executable, "-m", "s2v_core", "generate", str(photo), prompt, "-o", str(folder / "clip.mp4")]

    def curl(photo: Path, prompt: str, folder: Path, _: str) -> list[str]:
        return ["sh", "-c", SCRIPT, "sh", str(photo), prompt, str(folder)]

    def their(photo: Path, prompt: str, folder: Path, origin: str) -> list[str]:
        made = ["--prompt", prompt, "--subject-image", str(photo), "--download", str(folder / "clip.mp4")]
        return [
            str(mmx),
            "video",
            "generate",
            *made,
            "--base-url",
            f"{origin}/minimaxi",
            "--api-key",
            KEY,
            "--region",
            "global",
        ]

    found = [Command("this", our), Command("curl", curl)]
    if mmx := shutil.which(os.environ.get("S2V_MMX", "mmx")):
        found.append(Command("mmx", their))
    return found


def camera_photo(folder: Path) -> Path:
    """A portrait of 12 megapixels with the noise of a sensor, upright and as large as a telephone's."""
    size = (3024, 4032)
    with Image.open(PORTRAIT) as portrait:
        picture = portrait.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    noise = Image.merge("RGB", [Image.effect_noise(size, 14) for _ in range(3)])
    Image.blend(picture, noise, 0.25).save(path := folder / "photo.jpg", quality=95)
    return path


@dataclass
class Sent:
    """Of one photo: bytes of the body, and the command's seconds to its last byte and most memory in MB."""

    body: int
    seconds: float
    memory: float


def send(command: Command, photo: Path, folder: Path, service: Service) -> Sent:
    """To a service that refuses it."""
    service.requests.clear()
    began = time.monotonic()
    process = command.start(photo, "She smiles.", folder, service)
    memory = 0.0
    while process.poll() is None:
        memory = max([memory, *map(_memory, _family(process.pid))])
        time.sleep(0.005)
    asked = service.calls("submit")[0]
    return Sent(len(asked.body), asked.at - began, memory)


def _family(pid: int) -> Iterator[int]:
    """A process and those that it has started."""
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def _memory(pid: int) -> float:
    """The most MB that a process had in memory so far. Of `wait4` it would be no less than who has started it."""
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()):
            return int(found[1]) / 1000
    return 0.0


def sent(folder: Path, times: int) -> dict[str, list[Sent]]:
    photo, rounds = camera_photo(folder), dict[str, list[Sent]]()
    service = Service(small_clip())
    service.submit = [code(2013, "invalid params")]
    with in_thread(service):
        for number in range(times + 1):
            for command in commands():
                seen = send(command, photo, folder / f"{command.name}{number}", service)
                # The first fills the machine's caches.
                if number:
                    rounds.setdefault(command.name, []).append(seen)
    return rounds


class Renders(PaidService):
    """Renders for as long as a prompt begins with, and knows when each was ready and how often it was asked."""

    def __init__(self, clip: bytes) -> None:
        super().__init__(clip, stall=0)
        self.asked, self.ready = Counter[str](), dict[str, float]()

    def _state(self) -> Answer:
        (task_id,) = self.requests[-1].query["task_id"]
        (charge,) = (each for each in self.charges if each.task_id == task_id)
        self.renders = float(charge.prompt.split()[0])
        self.ready[charge.prompt] = charge.came + self.renders
        self.asked[charge.prompt] += 1
        return super()._state()


def waited(folder: Path) -> dict[str, tuple[list[float], list[int]]]:
    """Of each command, how long after the service's success a file was there, and its queries; all at once."""
    photo, told = ASSETS / "portraits" / "grace_hopper.jpg", dict[str, tuple[list[float], list[int]]]()
    with in_thread(Renders(small_clip())) as service:
        running = {}
        for seconds in RENDERS:
            for command in commands():
                prompt, place = f"{seconds} {command.name}", folder / f"{command.name}{seconds}"
                running[command.name, prompt, place] = command.start(photo, prompt, place, service)
        for (name, prompt, place), process in running.items():
            if process.wait(200):
                raise RuntimeError(f"{name} failed")
            late, queries = told.setdefault(name, ([], []))
            late.append((place / "clip.mp4").stat().st_mtime - service.ready[prompt])
            queries.append(service.asked[prompt])
    return told


@contextmanager
def long_service(megabytes: int) -> Iterator[str]:
    """The address of a service in a process of its own, with a clip of this size."""
    processes = multiprocessing.get_context("spawn")
    pipe, theirs = processes.Pipe()
    process = processes.Process(target=_serve, args=(theirs, megabytes), daemon=True)
    process.start()
    try:
        yield pipe.recv()
    finally:
        pipe.send("enough")
        process.join()


def _serve(pipe: Connection, megabytes: int) -> None:
    room = megabytes * 1_000_000
    with in_thread(Service(small_clip() + (8 + room).to_bytes(4, "big") + b"free" + bytes(room))) as service:
        pipe.send(service.base_url)
        pipe.recv()


def downloaded(folder: Path, megabytes: int, times: int) -> tuple[list[float], list[float]]:
    """Seconds from the file's id to the file on the disk: ours, which looks whether it is whole, and curl's."""
    ours, theirs = [], []
    with long_service(megabytes) as base_url:
        for _ in range(times + 1):
            ours.append(asyncio.run(_ours(base_url, folder / "ours.mp4")))
            theirs.append(_curls(base_url, folder / "curl.mp4"))
            sizes = {(folder / name).stat().st_size for name in ("ours.mp4", "curl.mp4")}
            if len(sizes) != 1:
                raise RuntimeError(f"the sizes differ: {sizes}")
    return ours[1:], theirs[1:]


async def _ours(base_url: str, path: Path) -> float:
    async with Client(base_url, KEY) as client:
        began = time.monotonic()
        await client.fetch(FILE, path)
        return time.monotonic() - began


def _curls(base_url: str, path: Path) -> float:
    field = SCRIPT[SCRIPT.index("field()") :].splitlines()[0]
    ask = f'curl --silent --header "Authorization: Bearer {KEY}" "{base_url}/files/retrieve?file_id={FILE}"'
    line = f'{field}\ncurl --silent --output "{path}" "$({ask} | field download_url)"'
    began = time.monotonic()
    subprocess.run(["sh", "-c", line], check=True)
    return time.monotonic() - began


def rows(folder: Path, times: int) -> Iterator[Row]:
    photos = sent(folder, times)
    for what, unit, of in (
        ("a photo of 12 megapixels: what is sent", "MB", lambda seen: seen.body / 1e6),
        ("the same: from the command to its last byte", "s", lambda seen: seen.seconds),
        ("the same: most memory", "MB", lambda seen: seen.memory),
    ):
        yield Row(what, unit, {name: [of(each) for each in seen] for name, seen in photos.items()})
    late = waited(folder)
    yield Row("from the service's success to the file", "s", {name: seen[0] for name, seen in late.items()})
    yield Row("queries of the service for a clip", "", {name: seen[1] for name, seen in late.items()})
    for megabytes in (8, 100):
        ours, curl = downloaded(folder, megabytes, times)
        yield Row(f"download of {megabytes} MB", "s", {"this": ours, "curl": curl})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.commands", description=__doc__)
    parser.add_argument("--times", type=int, default=7)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder), times):
            print(row)


if __name__ == "__main__":
    main()
