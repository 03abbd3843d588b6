"""How soon a watcher hears of a change, and at what price: `python -m tests.bench.many`.

Many jobs render at once in this process and each is watched; the service is another process. `change` is when a status
changes at the service, `answer` when a poll first brings it here: between the two lies half a poll on average.
"""

import argparse
import asyncio
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles

from s2v_core import Timing
from s2v_core.jobs.model import State

from ..support.clips import small_clip
from ..support.paid import PaidService
from ..support.photos import small_photo
from ..support.service import Answer, task
from ..support.studios import open_studio
from ..support.waiting import until
from .rows import Row


class Slow(PaidService):
    """Renders for ever; a status is the moment since when it holds, and holds for `holds` seconds."""

    holds = 6.0

    def __init__(self, clip: bytes) -> None:
        super().__init__(clip, stall=0)
        self.answered: dict[tuple[str, str], float] = {}

    def _state(self) -> Answer:
        task_id, now = self._asked()["task_id"][0], time.time()
        # Each task by a clock of its own.
        shift = int(task_id) * 0.317 % self.holds
        status = f"{now - (now - shift) % self.holds:.3f}"
        self.answered.setdefault((task_id, status), now)
        return task(status)


def serve(pipe: Connection) -> None:
    async def serve() -> None:
        async with Slow(small_clip()) as service:
            pipe.send(service.base_url)
            await asyncio.to_thread(pipe.recv)
            pipe.send(service.answered)

    asyncio.run(serve())


@dataclass
class Watched:
    """When each change was heard of, and what that took: of one core, in MB, and in threads."""

    heard: dict[tuple[str, str], float]
    core: float
    memory: float
    threads: int


async def measure(base_url: str, count: int, seconds: float, poll: float) -> Watched:
    heard: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        timing = replace(Timing(), poll=poll, ready=0.0)
        async with open_studio(Path(folder), base_url, timing=timing) as here:

            async def watch(ticket: str) -> None:
                async for job in here.watch(ticket):
                    if job.status:
                        heard.setdefault((job.task_id, job.status), time.time())

            photo = small_photo()
            tickets = []
            for number in range(count):
                ticket = (await here.submit(photo, f"{number}")).ticket

                async def sent(ticket: str = ticket) -> bool:
                    return (await here.job(ticket)).state not in (State.QUEUED, State.SENDING)

                await until(sent, "the job is sent")
                tickets.append(ticket)
            watchers = [asyncio.create_task(watch(ticket)) for ticket in tickets]
            # What is shown by now was answered before, and would count as late.
            await asyncio.sleep(poll)
            shown = set(heard)
            began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
            await asyncio.sleep(seconds)
            spent = resource.getrusage(resource.RUSAGE_SELF)
            cpu = (spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime) / (time.monotonic() - began)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            threads = threading.active_count()
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
    return Watched({change: at for change, at in heard.items() if change not in shown}, cpu, memory, threads)


def rows(jobs: int, seconds: float, poll: float) -> Iterator[Row]:
    processes = multiprocessing.get_context("spawn")
    pipe, theirs = processes.Pipe()
    service = processes.Process(target=serve, args=(theirs,), daemon=True)
    service.start()
    seen = asyncio.run(measure(pipe.recv(), jobs, seconds, poll))
    pipe.send("enough")
    answered = pipe.recv()
    service.join()
    cost = f"{100 * seen.core:.0f} % of one core, {seen.memory:.0f} MB, {seen.threads} threads"
    yield _row(f"{jobs} watched jobs: from an answer to its watcher", [
        at - answered[change] for change, at in seen.heard.items()
    ], cost)  # fmt: skip
    yield _row(f"{jobs} watched jobs: from a change at the service, asked every {poll:g} s", [
        at - float(status) for (_, status), at in seen.heard.items()
    ])  # fmt: skip


def _row(what: str, delays: list[float], note: str = "") -> Row:
    rare = f"{quantiles(delays, n=20)[-1]:.2f} s in 5 % of {len(delays)} changes"
    return Row(what, "s", {"this": delays}, "; ".join(filter(None, [rare, note])))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many", description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--poll", type=float, default=5.0)
    arguments = parser.parse_args()
    for row in rows(arguments.jobs, arguments.seconds, arguments.poll):
        print(row)


if __name__ == "__main__":
    main()
