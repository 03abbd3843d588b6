"""A loop answers for its failures and goes on."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from s2v_core.errors import DatabaseUnavailable
from s2v_core.jobs.loops import Loops, sentences

from ..support.waiting import until


async def test_a_loop_that_fails_is_logged_told_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    failures: Iterator[Exception] = iter([OSError(24, "Too many open files"), KeyError("x")])
    ran = asyncio.Event()

    async def act() -> None:
        if failure := next(failures, None):
            raise failure
        ran.set()

    loops = Loops()
    loops.start("heartbeat", 0.01, act)
    await until(lambda: loops.health()["heartbeat"][1], "it has failed")
    assert loops.health()["heartbeat"][1] in {"OSError", "KeyError"}
    async with asyncio.timeout(60):
        await ran.wait()
    assert loops.health()["heartbeat"][1] == ""
    assert caplog.text.count("heartbeat failed, and is tried again") == 2
    assert caplog.text.count("Traceback") == 2
    await loops.stop()


async def test_a_ledger_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    times = 0

    async def act() -> None:
        nonlocal times
        times += 1
        raise DatabaseUnavailable("OperationalError: gone")

    caplog.set_level(logging.INFO)
    loops = Loops()
    loops.start("watch", 0.001, act)
    await until(lambda: times >= 5, "it has been tried five times")
    assert caplog.text.count("watch: the ledger is away (OperationalError: gone)") == 1
    assert loops.health()["watch"][1] == "the ledger is away"
    await loops.stop()


async def test_a_loop_runs_at_once_when_it_is_woken() -> None:
    ran: asyncio.Queue[None] = asyncio.Queue()

    async def act() -> None:
        ran.put_nowait(None)

    loops = Loops()
    loops.start("admission", 3600, act)
    async with asyncio.timeout(60):
        for _ in range(3):
            await ran.get()
            loops.wake("admission")
    await loops.stop()


def test_how_the_loops_do_is_a_line_for_each_process() -> None:
    health = [("a", "heartbeat", 2.1, ""), ("a", "sweep", 65.0, "OSError"), ("b", "heartbeat", 900.0, "")]
    lines = ["Process a: heartbeat 2 s ago, sweep 65 s ago (OSError).", "Process b: heartbeat 900 s ago."]
    assert sentences(health) == lines
