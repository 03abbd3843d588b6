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
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from s2v_core import Timing
from s2v_core.jobs.model import State

from ..support.clips import small_clip
from ..support.paid import PaidService
from ..support.photos import small_photo
from ..support.service import Answer, task
from ..support.studios import open_studio
from ..support.waiting import until


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


async def measure(base_url: str, count: int, seconds: float, poll: float) -> dict[tuple[str, str], float]:
    heard: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        timing = replace(Timing(), poll=poll, ready=0.0)
        async with open_studio(Path(folder), base_url, timing=timing) as here:

            async def watch(ticket: str) -> None:
                async for job in here.watch(ticket):
                    if job.status:
                        heard.setdefault((job.task_id, job.status), time.time())

            photo, began = small_photo(), time.monotonic()
            tickets = []
            for number in range(count):
                ticket = (await here.submit(photo, f"{number}")).ticket

                async def sent(ticket: str = ticket) -> bool:
                    return (await here.job(ticket)).state not in (State.QUEUED, State.SENDING)

                await until(sent, "the job is sent")
                tickets.append(ticket)
            print(f"{count} jobs are rendering after {time.monotonic() - began:.0f} s")
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
            print(f"CPU {100 * cpu:.0f} % of one core, {memory:.0f} MB, {threading.active_count()} threads")
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
    return {change: at for change, at in heard.items() if change not in shown}


def say(name: str, delays: list[float]) -> None:
    delays.sort()
    p50, p95, worst = (delays[int(part * (len(delays) - 1))] for part in (0.5, 0.95, 1))
    print(f"{name}: p50 {p50:.2f} s, p95 {p95:.2f} s, most {worst:.2f} s ({len(delays)} changes)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many", description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--poll", type=float, default=5.0)
    arguments = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    pipe, theirs = processes.Pipe()
    service = processes.Process(target=serve, args=(theirs,), daemon=True)
    service.start()
    heard = asyncio.run(measure(pipe.recv(), arguments.jobs, arguments.seconds, arguments.poll))
    pipe.send("enough")
    answered = pipe.recv()
    service.join()
    say("from the change to the watcher", [at - float(status) for (_, status), at in heard.items()])
    say("from the answer to the watcher", [at - answered[change] for change, at in heard.items()])


if __name__ == "__main__":
    main()
