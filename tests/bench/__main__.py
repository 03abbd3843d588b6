"""All figures as one table in Markdown, side by side with what else there is: `python -m tests.bench`, ten minutes."""

import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from s2v_core import Settings
from s2v_core.jobs.model import Pace
from s2v_core.jobs.studio import Studio
from s2v_core.simulator.service import Simulator

from ..support import postgresql
from ..support.photos import small_photo
from ..support.replicas import is_here
from ..support.service import PROMPT
from ..support.studios import end
from . import commands, first, ledger, many, replicas
from .rows import Row

TIMES = 7


async def simulated(folder: Path) -> float:
    """Seconds from an order to its clip, on the simulator as it is by itself."""
    settings = Settings(data_dir=folder)
    simulator = Simulator(folder / "simulator", seconds=settings.simulator_seconds)
    async with Studio(settings, simulator=simulator) as studio:
        began = time.monotonic()
        job = await end(studio, await studio.submit(small_photo(), PROMPT))
        if job.state != "done":
            raise RuntimeError(f"the simulated job is {job.state}")
        return time.monotonic() - began


def machine() -> str:
    name = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores ({name}), {gigabytes:.0f} GB, Python {platform.python_version()}"


def rows(folder: Path) -> Iterator[Row | str]:
    yield from commands.rows(_made(folder / "commands"), TIMES)
    yield from many.rows(500, 60.0, 5.0)
    yield from first.rows(_made(folder / "first"), 12)
    taken = [asyncio.run(simulated(_made(folder / f"simulated{number}"))) for number in range(3)]
    wanted = f"of which the simulator waits {Settings().simulator_seconds:g} s"
    yield Row("a simulated clip", "s", {"this": taken}, wanted)
    yield from ledger.rows(_made(folder / "ledger"), 15)
    if is_here():
        with postgresql.cluster():
            for name, value in replicas.figures(_made(folder / "replicas")):
                yield f"| four processes behind nginx, a lease of {Pace().lease:.0f} s: {name} | {value} | |"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> None:
    print(f"{time.strftime('%Y-%m-%d', time.gmtime())}; {machine()}\n\n| what | here | beside it |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
