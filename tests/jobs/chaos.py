"""Kill or stop the studio at random moments, over and over, and count what was lost: `python -m tests.jobs.chaos`."""

import argparse
import asyncio
import itertools
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

from s2v_core import Refused
from s2v_core.clip.marks import without
from s2v_core.jobs.model import UNDER_WAY, Limits, State

from ..support.clips import small_clip
from ..support.forks import PROCESSES
from ..support.paid import PaidService
from ..support.photos import small_photo
from ..support.service import Service
from ..support.studios import WIDE, leasing, open_studio
from ..support.waiting import until

# Where some wait for a place.
NARROW = replace(WIDE, concurrent=6)
# An answer that came so shortly before the kill may not have been written down yet.
_WRITING_SECONDS = 1.5
_STOPPING_SECONDS = 10.0


# A worker: a process that is killed or stopped

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Submit so many `jobs` named so, each about `pace` seconds after the one before was sent; then bring them all."""

    name: str
    jobs: int = 0
    pace: float = 0.0
    at_a_time: int = 1
    limits: Limits = WIDE
    lease: float = 20.0
    seed: int = 0


def work(order: Work, data: Path, base_url: str, pipe: Connection) -> None:
    asyncio.run(_work(order, data, base_url, pipe))


async def _work(order: Work, data: Path, base_url: str, pipe: Connection) -> None:
    pause, photo = random.Random(order.seed), small_photo()
    stopped = asyncio.Event()
    async with open_studio(data, base_url, order.limits, pace=leasing(order.lease)) as here:

        def stop() -> None:
            here.stop_admitting()
            stopped.set()

        for number in STOPS:
            asyncio.get_running_loop().add_signal_handler(number, stop)
        pipe.send("ready")
        # Raised by a submit after a signal.
        with suppress(Refused):
            for first in range(0, order.jobs, order.at_a_time):
                numbers = range(first, min(first + order.at_a_time, order.jobs))
                jobs = await asyncio.gather(*(here.submit(photo, f"{order.name} {number}") for number in numbers))

                async def left(ticket: str = jobs[-1].ticket) -> bool:
                    return stopped.is_set() or (await here.job(ticket)).state is not State.QUEUED

                if order.pace:
                    await until(left, "the last job has left the queue", seconds=600)
                # At random moments of what was begun.
                await asyncio.sleep(pause.uniform(0, 2 * order.pace))

            async def ended() -> bool:
                return stopped.is_set() or not any(job.state in UNDER_WAY for job in await here.jobs())

            await until(ended, "all jobs have ended", seconds=600)
    pipe.send("stopped" if stopped.is_set() else "idle")


class Worker:
    """Another process at work on `data`; killed at the end, if it is still there."""

    def __init__(self, data: Path, service: Service, order: Work) -> None:
        self.name, self.ended = order.name, 0.0
        self._pipe, theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=work, args=(order, data, service.base_url, theirs))
        self._theirs = theirs

    async def __aenter__(self) -> "Worker":
        await asyncio.to_thread(self._process.start)
        self._theirs.close()
        await self.says("ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.is_alive():
            await self.kill()
        self._process.close()
        self._pipe.close()

    async def says(self, word: str, seconds: float = 60.0) -> None:
        await until(self._pipe.poll, f"{self.name} says {word}", seconds=seconds)
        said = self._pipe.recv()
        assert said == word, f"{self.name} said {said} instead of {word}"

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid
        os.kill(self._process.pid, number)

    @property
    def frozen(self) -> bool:
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    async def kill(self) -> None:
        self.ended = time.time()
        self._process.kill()
        await asyncio.to_thread(self._process.join)

    async def stop(self, *numbers: signal.Signals) -> float:
        """One signal after the other; how many seconds after the first its process ended in order."""
        self.ended, began = time.time(), time.monotonic()
        for number in numbers:
            # The last may come too late.
            with suppress(ProcessLookupError):
                self.send(number)
            # Else the next signal would melt into this one.
            await asyncio.sleep(0.1)
        await self.says("stopped")
        await asyncio.to_thread(self._process.join)
        return time.monotonic() - began


# The parent: kills or stops, and counts


@dataclass
class Report:
    """`waited`: how often a job was still queued when a worker ended; `slowest`: in seconds, of those told to end."""

    ends: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    waited: int = 0
    charges: int = 0
    states: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    lost: int = 0
    orphans: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends, states, orphans = (
            ", ".join(f"{count} {name}" for name, count in counts.items())
            for counts in (self.ends, self.states, self.orphans)
        )
        slowest = f", each ended within {self.slowest:.1f} s" if self.slowest else ""
        return (
            f"{ends} in {self.seconds:.0f} s{slowest}: {self.states.total()} jobs ({states}; {self.waited} waited over "
            f"an end), {self.charges} charges ({self.in_flight} in flight at an end, {self.lost} without a task id); "
            f"without a row: {orphans}.\n" + ("\n".join(self.wrong) or "Every promise was kept.")
        )


async def chaos(
    data: Path,
    *,
    kills: int,
    seed: int,
    lease: float,
    pace: float = 0.05,
    lives: float = 2.0,
    signals: Sequence[signal.Signals] = (signal.SIGKILL,),
) -> Report:
    """End so many workers, one behind the other, on one folder, by the signals in turn; let one finish, and count.

    Each lives up to `lives` seconds. What can be heard comes twice at times, and while the service thinks for seconds.
    """
    chance, began, clip, report = random.Random(seed), time.monotonic(), small_clip(), Report()
    ended: dict[str, float] = {}
    async with PaidService(clip, seed=seed) as service:
        for turn, number in zip(range(kills), itertools.cycle(signals), strict=False):
            order = Work(name=f"w{turn}", jobs=10**6, pace=pace, lease=lease, seed=seed + turn)
            if number is not signal.SIGKILL:
                order = replace(order, at_a_time=2, limits=NARROW)
                service.thinks = lives * chance.choice((0.0, 0.0, 0.1, 0.5, 1.5))
            async with Worker(data, service, order) as worker:
                await asyncio.sleep(chance.uniform(0.05, lives))
                if number is signal.SIGKILL:
                    await worker.kill()
                else:
                    took = await worker.stop(*[number] * chance.choice((1, 1, 2)))
                    report.slowest = max(report.slowest, took)
            ended[worker.name] = worker.ended
            report.ends[number.name] += 1
            report.waited += sum(row["state"] == State.QUEUED for row in rows(data))
        service.thinks = 0.0
        for part in data.rglob("*.part"):
            # As if an hour had gone by: who wrote to it is dead.
            os.utime(part, (time.time() - 3601,) * 2)
        async with Worker(data, service, Work(name="last", jobs=1, lease=lease)) as last:
            await last.says("idle", 600)
    if report.slowest > _STOPPING_SECONDS:
        report.wrong.append(f"one needed {report.slowest:.1f} s to end")
    count(report, data, service, ended, clip)
    report.seconds = time.monotonic() - began
    return report


def rows(data: Path) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(data / "ledger.db")) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute("SELECT * FROM jobs").fetchall()


def count(report: Report, data: Path, service: PaidService, ended: dict[str, float], clip: bytes) -> None:
    # Only a kill leaves one of which nobody knows whether it was sent; a stop calls off what is being taken.
    wrong, killed = report.wrong, signal.SIGKILL.name in report.ends
    ends = ("done", "unknown") if killed else ("done", "cancelled")
    with closing(sqlite3.connect(data / "ledger.db")) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    if integrity != "ok":
        wrong.append(f"the database: {integrity}")
    jobs = rows(data)
    by_prompt = {row["prompt"]: row for row in jobs}
    wrong += [f"charged and no row: {prompt}" for prompt in service.prompts if prompt not in by_prompt]
    wrong += [f"sent {count} times: {prompt}" for prompt, count in service.prompts.items() if count > 1]
    for charge in service.charges:
        row, end = by_prompt.get(charge.prompt), ended.get(charge.prompt.split()[0], 0.0)
        since = end - charge.came - charge.stall
        report.in_flight += -charge.stall <= since < 0
        if row and not row["task_id"]:
            report.lost += 1
            if row["state"] != "unknown" or since > _WRITING_SECONDS or not end or not killed:
                wrong.append(
                    f"{charge.prompt}: {row['state']} without its task id, answered {since:.2f} s before the end"
                )
        elif row and row["task_id"] != charge.task_id:
            wrong.append(f"{charge.prompt}: another's task id")
    for row in jobs:
        if row["state"] not in ends:
            wrong.append(f"{row['prompt']} stayed {row['state']}: {row['reason']}")
        if row["task_id"] and (row["state"] != "done" or without(data / row["clip"]) != clip):
            wrong.append(f"{row['prompt']} has a task id and no clip")
        elif row["task_id"] and row["served_sha256"] != sha256((data / row["clip"]).read_bytes()).hexdigest():
            wrong.append(f"{row['prompt']} has another clip than its row says")
    wrong += [f"left: {part.name}" for part in data.rglob("*.part")]
    # A clip and its pictures share all that stands before the first dot.
    named = {row[column].partition(".")[0] for row in jobs for column in ("photo", "clip")}
    report.orphans = {
        folder: len({file.name.partition(".")[0] for file in (data / folder).iterdir()} - {Path(n).name for n in named})
        for folder in ("photos", "clips")
    }
    report.states = Counter(row["state"] for row in jobs)
    report.charges = len(service.charges)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.jobs.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--signal", choices=["KILL", "TERM", "INT", "HUP"], nargs="+", default=["KILL"])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--lease", type=float, default=0.5, help="seconds; in production 20")
    parser.add_argument("--pace", type=float, default=0.05, help="seconds between two submits, on average")
    parser.add_argument("--data", type=Path, help="default: a folder that is removed afterwards")
    arguments = parser.parse_args()
    signals = [signal.Signals[f"SIG{name}"] for name in arguments.signal]
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(
            chaos(
                arguments.data or Path(folder),
                kills=arguments.kills,
                seed=arguments.seed,
                lease=arguments.lease,
                pace=arguments.pace,
                signals=signals,
            )
        )
    print(f"seed {arguments.seed}: {report}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
