"""Studios over a service on a socket, and what their ledger says."""

import sqlite3
from pathlib import Path
from typing import Any

from s2v_core import Settings, Timing
from s2v_core.atomic import atomic_write
from s2v_core.jobs.model import Job, Limits, Pace
from s2v_core.jobs.studio import Studio
from s2v_core.simulator.service import Simulator

from .clips import small_clip
from .service import FAST, KEY, Service

# Where jobs are many, or wait for a dead process's lease.
STEADY = Timing(submit=20.0, read=5.0, poll=0.05, slow_poll=0.2, watch=600.0, overdue=0.6, backoff=0.05)
WIDE = Limits(per_day=100_000, concurrent=1000, per_minute=100_000, waiting=10_000)


def quick_film(photo: Path, clip: Path) -> None:
    """In place of one that takes 1.6 s of a processor."""
    with atomic_write(clip) as part:
        part.write_bytes(small_clip())


def studio_at(service: Service, folder: Path, *, database_url: str = "", **options: Any) -> Studio:
    settings = Settings(
        api_key=KEY, base_url=service.base_url, data_dir=folder, database_url=database_url, simulator_seconds=0.8
    )
    simulator = Simulator(folder / "simulator", seconds=0.8, film=quick_film)
    return Studio(settings, simulator=simulator, **{"timing": FAST} | options)


def open_studio(
    data: Path, base_url: str, limits: Limits = WIDE, *, timing: Timing = STEADY, pace: Pace | None = None
) -> Studio:
    """Without a simulator, and with no limits to speak of."""

    async def no_simulator(*_: object) -> None:
        raise AssertionError("nobody asked for the simulator")

    settings = Settings(api_key=KEY, base_url=base_url, data_dir=data)
    return Studio(settings, simulator=no_simulator, timing=timing, limits=limits, pace=pace)


def leasing(seconds: float) -> Pace:
    return Pace(lease=seconds, heartbeat=seconds / 4, claim=seconds / 4)


async def end(studio: Studio, job: Job) -> Job:
    """The job as it ends."""
    async for seen in studio.watch(job.ticket):
        job = seen
    return job


def rows(folder: Path, names: str = "state, task_id") -> list[Any]:
    """These columns of each job, the oldest first; the values themselves where it is one column."""
    connection = sqlite3.connect(folder / "ledger.db")
    found = connection.execute(f"SELECT {names} FROM jobs ORDER BY queued_at").fetchall()
    connection.close()
    return found if "," in names else [value for (value,) in found]


def locked(folder: Path) -> sqlite3.Connection:
    """A connection that keeps everybody else from the ledger until it is closed."""
    connection = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection
