"""Uploads, calls and streams from many addresses, for a while; another visitor gets a clip meanwhile."""

import asyncio
import json
import os
from collections import Counter
from itertools import count
from pathlib import Path

import httpx
import pytest

from .pages import PORTRAIT, PROMPT, kept_uploads, served

SECONDS = float(os.environ.get("S2V_FLOOD_SECONDS") or 8)
BOUND = 500_000_000
pytestmark = [pytest.mark.alone, pytest.mark.timeout(SECONDS + 120)]
numbers = count()


class Flood:
    """Some of it comes without a proxy's word about its address."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url, self.until = url, asyncio.get_running_loop().time() + seconds
        self.answers: Counter[tuple[str, int]] = Counter()

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

    async def streams(self) -> None:
        async with self.somebody() as http:
            while self.goes_on:
                hearts = [f"gradio_api/heartbeat/{next(numbers)}" for _ in range(20)]
                await asyncio.gather(*(self.stream(http, heart) for heart in hearts))

    async def stream(self, http: httpx.AsyncClient, path: str) -> None:
        async with http.stream("GET", path) as answer:
            self.answers["stream", answer.status_code] += 1
            await asyncio.sleep(0.5)


async def clip(http: httpx.AsyncClient) -> dict[str, str]:
    """The job of somebody who only wants a clip, when it has ended."""

    async def call(name: str, **body: object) -> dict[str, str]:
        asked = await http.post(f"gradio_api/call/v2/{name}", json=body)
        told = await http.get(f"gradio_api/call/{name}/{asked.json()['event_id']}")
        return json.loads(told.text.split("data: ")[-1])[0]

    answer = await http.post("gradio_api/upload", files={"files": ("me.png", PORTRAIT.read_bytes())})
    photo = {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}
    job = await call("submit", photo=photo, prompt=PROMPT)
    while job["state"] in {"queued", "sending", "rendering", "fetching"}:
        await asyncio.sleep(0.5)
        job = await call("status", ticket=job["ticket"])
    return job


async def test_a_flood_keeps_nobody_from_a_clip_and_the_disk_from_filling(tmp_path: Path) -> None:
    for number in range(25):
        old = tmp_path / "gradio" / f"{number:064x}" / f"{number:032x}.jpg"
        old.parent.mkdir(parents=True)
        with old.open("wb") as file:
            file.truncate(BOUND // 25 - 10_000)
    most = 0
    with served(tmp_path, S2V_TRUSTED_HOPS="1") as url:
        flood = Flood(url, SECONDS)

        async def measure() -> None:
            nonlocal most
            while flood.goes_on:
                sizes = await asyncio.to_thread(lambda: [size(path) for path in kept_uploads(tmp_path)])
                most = max(most, sum(sizes))
                await asyncio.sleep(0.1)

        async with flood.somebody() as http, asyncio.TaskGroup() as group:
            http.headers["X-Forwarded-For"] = "198.51.100.7"
            job = group.create_task(clip(http))
            group.create_task(measure())
            for kind in (flood.uploads, flood.uploads, flood.uploads, flood.uploads, flood.calls, flood.calls):
                group.create_task(kind())
            for _ in range(3):
                group.create_task(flood.streams())
        print(f"{SECONDS:g} s: {dict(flood.answers)}, at most {most / 1e6:.1f} MB kept")
    assert job.result()["state"] == "done"
    assert BOUND * 0.9 < most <= BOUND
    assert {kind for kind, status in flood.answers if status == 200} == {"upload", "call", "stream"}
    assert {kind for kind, status in flood.answers if status == 429} == {"upload", "stream"}
    assert {status for _, status in flood.answers} == {200, 413, 429}
    assert "Traceback" not in (tmp_path / "log").read_text()


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
