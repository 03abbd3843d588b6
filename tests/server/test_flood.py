"""Uploads, calls and streams from many addresses, for a while; another visitor gets a clip meanwhile."""

import asyncio
import json
import os
import re
import socket
import sqlite3
import time
from collections import Counter
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from s2v_core.jobs.model import UNDER_WAY

from ..support.pages import kept_uploads, served
from ..support.photos import PORTRAIT
from ..support.service import PROMPT, Service, code
from ..support.waiting import until

SECONDS = float(os.environ.get("S2V_FLOOD_SECONDS") or 8)
# 12,000 in a minute.
STATUS_CALLS = int(SECONDS * 200)
BOUND = 500_000_000
MEMORY = 150_000_000
pytestmark = [pytest.mark.alone, pytest.mark.timeout(SECONDS * 10 + 120)]
numbers = count()


class Flood:
    """Some of it comes without a proxy's word about its address."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url, self.until = url, asyncio.get_running_loop().time() + seconds
        self.answers: Counter[tuple[str, int]] = Counter()
        self.jobs: Counter[str] = Counter()

    @property
    def goes_on(self) -> bool:
        return asyncio.get_running_loop().time() < self.until

    def somebody(self) -> httpx.AsyncClient:
        number = next(numbers)
        headers = {"X-Forwarded-For": f"203.0.{number // 250}.{number % 250}"} if number % 4 else {}
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30, headers=headers)

    async def uploads(self) -> None:
        while self.goes_on:
            async with self.somebody() as http:
                status = 200
                while self.goes_on and status == 200:
                    answer = await http.post("gradio_api/upload", files={"files": ("me.jpg", os.urandom(1_000_000))})
                    self.answers["upload", status := answer.status_code] += 1
                    await asyncio.sleep(0.1)

    async def calls(self) -> None:
        async with self.somebody() as http:
            for number in count():
                if not self.goes_on:
                    return
                body = {"prompt": f"There is no portrait for this, {number}."}
                answer = await http.post("gradio_api/call/v2/submit", json=body)
                self.answers["call", answer.status_code] += 1
                answer = await http.post("gradio_api/call/submit", content=b"[" * 100_000)
                self.answers["large call", answer.status_code] += 1
                await asyncio.sleep(0.02)

    async def keys(self) -> None:
        """Jobs with keys that somebody made up, as many as one address may ask for."""
        async with self.somebody() as http:
            http.headers["X-Forwarded-For"] = "198.51.100.66"
            for number in count():
                if not self.goes_on:
                    return
                body = {"photo_url": "https://example.com/me.jpg", "prompt": f"She waves, {number}.", "consent": True}
                http.headers["X-S2V-Key"] = f"sk-invented-{number % 8}"
                asked = await http.post("gradio_api/call/v2/submit", json=body)
                self.answers["invented key", asked.status_code] += 1
                if asked.status_code == 200:
                    told = await http.get(f"gradio_api/call/submit/{asked.json()['event_id']}")
                    self.jobs["taken" if "s2v_" in told.text else "refused"] += 1
                await asyncio.sleep(0.02)

    async def statuses(self, calls: int) -> None:
        """200 a second, of a ticket that nobody has; every other answer is not waited for."""
        begun, done = time.monotonic(), count(1)
        for _ in range(calls // 500 + 1):
            async with self.somebody() as http:
                for number in range(min(500, calls)):
                    await asyncio.sleep(begun + next(done) / 200 - time.monotonic())
                    asked = await http.post("gradio_api/call/status", json={"data": ["s2v_x"]})
                    self.answers["status", asked.status_code] += 1
                    if number % 2 and asked.status_code == 200:
                        await http.get(f"gradio_api/call/status/{asked.json()['event_id']}")
            calls -= 500

    async def streams(self) -> None:
        async with self.somebody() as http:
            while self.goes_on:
                hearts = [f"gradio_api/heartbeat/{next(numbers)}" for _ in range(20)]
                await asyncio.gather(*(self.stream(http, heart) for heart in hearts))

    async def stream(self, http: httpx.AsyncClient, path: str) -> None:
        async with http.stream("GET", path) as answer:
            self.answers["stream", answer.status_code] += 1
            await asyncio.sleep(0.5)


async def clip(url: str) -> float:
    """The seconds that somebody waits who only wants a clip."""

    async def call(name: str, **body: object) -> dict[str, str]:
        asked = await http.post(f"gradio_api/call/v2/{name}", json=body)
        told = await http.get(f"gradio_api/call/{name}/{asked.json()['event_id']}")
        return json.loads(told.text.split("data: ")[-1])[0]

    begun = time.monotonic()
    headers = {"X-Forwarded-For": f"192.0.2.{next(numbers) % 250}"}
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60, headers=headers) as http:
        answer = await http.post("gradio_api/upload", files={"files": ("me.png", PORTRAIT.read_bytes())})
        photo = {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}
        job = await call("submit", photo=photo, prompt=PROMPT)

        async def end() -> str | None:
            now = await call("status", ticket=job["ticket"])
            return None if now["state"] in UNDER_WAY else now["state"]

        assert await until(end, "the job has ended", seconds=300, every=0.5) == "done"
    return time.monotonic() - begun


async def test_a_flood_keeps_nobody_from_a_clip_and_fills_neither_disk_nor_memory(
    tmp_path: Path, service: Service
) -> None:
    service.submit = [code(1004)]
    for number in range(25):
        old = tmp_path / "gradio" / f"{number:064x}" / f"{number:032x}.jpg"
        old.parent.mkdir(parents=True)
        with old.open("wb") as file:
            file.truncate(BOUND // 25 - 10_000)
    most = memory = 0
    with served(tmp_path, S2V_TRUSTED_HOPS="1", S2V_BASE_URL=service.base_url) as url:
        usual = await clip(url)
        flood, before = Flood(url, SECONDS), resident(tmp_path)

        async def measure() -> None:
            nonlocal most, memory
            while flood.goes_on or not status.done():
                sizes = await asyncio.to_thread(lambda: [size(path) for path in kept_uploads(tmp_path)])
                most, memory = max(most, sum(sizes)), max(memory, resident(tmp_path) - before)
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            status = group.create_task(flood.statuses(STATUS_CALLS))
            for kind in (flood.uploads, flood.uploads, flood.uploads, flood.uploads, flood.calls, flood.calls):
                group.create_task(kind())
            for kind in (flood.streams, flood.streams, flood.streams, flood.keys, measure):
                group.create_task(kind())
            meanwhile = await clip(url)
    print(f"{SECONDS:g} s: {dict(flood.answers)}, {dict(flood.jobs)}, at most {most / 1e6:.1f} MB kept")
    print(f"a clip in {meanwhile:.1f} s, usually {usual:.1f} s; memory +{memory / 1e6:.0f} MB")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        (waiting,) = ledger.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()
    assert waiting <= 20
    # In a few seconds a busy machine says nothing of it.
    assert meanwhile <= 2 * usual or SECONDS < 30
    assert memory <= MEMORY
    assert BOUND * 0.9 < most <= BOUND
    kinds = {"upload", "call", "stream", "status", "invented key"}
    assert {kind for kind, status in flood.answers if status == 200} == kinds
    assert flood.answers["stream", 429]
    assert {status for _, status in flood.answers} == {200, 413, 429}
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_more_silent_connections_than_files_may_be_open_keep_nobody_from_the_page(tmp_path: Path) -> None:
    program = "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512)); "
    program += "runpy.run_path('app.py', run_name='__main__')"
    with ExitStack() as stack, served(tmp_path, program=("-c", program)) as url:
        # Until it says this, Gradio itself asks the page, and ends if that is not answered.
        await until(lambda: "public link" in (tmp_path / "log").read_text(), "the page has started")
        for _ in range(700):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", urlsplit(url).port)))
            connection.send(b"GET / HTTP/1.1\r\nHost: local")
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
            assert (await http.get("")).status_code == 200
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert "accept" not in (tmp_path / "log").read_text()


def resident(folder: Path) -> int:
    """What a page's process takes of memory."""
    status = Path(f"/proc/{(folder / 'pid').read_text()}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
