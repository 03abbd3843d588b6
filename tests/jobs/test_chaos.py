"""Killed, frozen, crowded, full and locked out: what was paid is neither lost nor paid again."""

import asyncio
import signal
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from s2v_core import Photo, Refused
from s2v_core.clip.marks import without
from s2v_core.jobs.model import Charge, Job, Limits, Pace, State

from ..support.clips import describe
from ..support.paid import PaidService
from ..support.service import Answer, Service, code, gateway, good
from ..support.studios import STEADY, end, leasing, locked, open_studio, rows
from ..support.waiting import until, wait_until
from .chaos import STOPS, Work, Worker, chaos

LEASE = 3.0


def freeze(worker: Worker, folder: Path) -> None:
    """Between two of its transactions: SQLite has no way to take a lock from a process that still lives."""
    connection = sqlite3.connect(folder / "ledger.db", timeout=20, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    worker.send(signal.SIGSTOP)
    wait_until(lambda: worker.frozen, "it is frozen")
    connection.close()


# Killed


async def test_killed_at_random_moments_nothing_is_lost_and_nothing_paid_twice(tmp_path: Path) -> None:
    # At a pace that the disk keeps up with, also beside other tests.
    report = await chaos(tmp_path, kills=5, seed=time.time_ns(), lease=0.5, pace=0.15, lives=1.0)
    assert not report.wrong, str(report)
    assert report.charges > 1, str(report)


async def test_stopped_by_a_signal_every_payment_has_its_answer_and_what_waited_goes_on(tmp_path: Path) -> None:
    report = await chaos(tmp_path, kills=3, seed=time.time_ns(), lease=0.5, pace=0.1, lives=1.0, signals=STOPS)
    assert not report.wrong, str(report)
    assert report.charges > 1, str(report)


async def test_what_was_being_taken_when_it_stopped_is_called_off(tmp_path: Path, clip: bytes, photo: Photo) -> None:
    async with PaidService(clip) as service:
        async with open_studio(tmp_path, service.base_url) as here:
            lock = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            asked = asyncio.create_task(here.submit(photo, "She is late."))
            await until(lambda: here._intake._entering, "it is being taken")
            asyncio.get_running_loop().call_later(0.3, lock.execute, "ROLLBACK")
        with pytest.raises(Refused, match="is stopping"):
            await asked
        lock.close()
    assert rows(tmp_path, "state") == ["cancelled"]
    assert not service.charges


async def test_what_a_killed_process_left_rendering_the_other_finishes(tmp_path: Path, clip: bytes) -> None:
    async with (
        PaidService(clip, renders=600.0, stall=0) as service,
        open_studio(tmp_path, service.base_url, pace=leasing(LEASE)) as here,
    ):
        order = Work(name="killed", jobs=10, pace=0.05, lease=LEASE)
        async with Worker(tmp_path, service, order) as worker:
            await until(lambda: rows(tmp_path, "state") == ["rendering"] * 10, "all ten render")
            await worker.kill()
            service.renders = 0.5
            await until(lambda: rows(tmp_path, "state") == ["done"] * 10, "the other has finished all ten")
        assert [describe(here.store.path(job.clip)).width for job in await here.jobs()] == [64] * 10
    assert len(service.charges) == 10


async def test_frozen_during_its_payment_and_woken_it_still_has_its_clip(tmp_path: Path, clip: bytes) -> None:
    async with (
        PaidService(clip, stall=0, thinks=1.0) as service,
        open_studio(tmp_path, service.base_url, pace=leasing(LEASE)),
        Worker(tmp_path, service, Work(name="frozen", jobs=1, lease=LEASE)) as worker,
    ):
        await until(lambda: len(service.charges) == 1, "it is being paid")
        freeze(worker, tmp_path)
        await until(lambda: rows(tmp_path, "state") == ["unknown"], "the other has given it up")
        worker.send(signal.SIGCONT)
        await until(lambda: rows(tmp_path) == [("done", service.charges[0].task_id)], "it has its clip")
    assert len(service.charges) == 1


@pytest.mark.long
async def test_frozen_while_it_waited_in_line_and_woken_it_does_not_pay_again(tmp_path: Path, clip: bytes) -> None:
    limits = Limits(concurrent=1, per_minute=99)
    async with (
        PaidService(clip, renders=1.0, stall=0, thinks=2.0) as service,
        Worker(tmp_path, service, Work(name="frozen", jobs=2, lease=LEASE, limits=limits)) as worker,
    ):
        await until(lambda: rows(tmp_path, "state") == ["rendering", "queued"], "the second waits in line")
        freeze(worker, tmp_path)
        async with open_studio(tmp_path, service.base_url, limits, pace=leasing(LEASE)):
            # The other has taken the second job over and is paying for it: now the first one looks at it again.
            await until(lambda: len(service.charges) == 2, "the other pays for the second")
            worker.send(signal.SIGCONT)
            await until(lambda: rows(tmp_path, "state") == ["done"] * 2, "both are done")
            await worker.says("idle")
    assert set(service.prompts.values()) == {1}


# Crowded


def spoiled(jobs: list[Job], cap: int) -> list[Job]:
    sentence = f"Today's {cap} clips are used up; the count starts anew at midnight UTC."
    refused = [job for job in jobs if job.state is State.REFUSED]
    return [job for job in refused if (job.what, job.charge) != (sentence, Charge.NONE) or not job.ended]


async def test_200_at_once_against_a_cap_of_10_are_10_payments(tmp_path: Path, clip: bytes, photo: Photo) -> None:
    limits = Limits(per_day=10, concurrent=1000, per_minute=1000, waiting=100)
    # A busy disk may take longer for all of them than one click waits.
    pace = Pace(enter=60.0)
    async with (
        PaidService(clip, stall=0) as service,
        open_studio(tmp_path, service.base_url, limits, pace=pace) as here,
    ):
        jobs = await asyncio.gather(*(here.submit(photo, f"{number}") for number in range(200)))
        ends = await asyncio.gather(*(end(here, job) for job in jobs))
        assert await here.left_today() == 0
    assert Counter(job.state for job in ends) == {"done": 10, "refused": 190}
    assert spoiled(ends, 10) == []
    assert len(service.charges) == 10


@pytest.mark.long
async def test_the_cap_holds_over_two_processes_and_a_restart(tmp_path: Path, clip: bytes) -> None:
    limits = Limits(per_day=10, concurrent=1000, per_minute=1000, waiting=100)
    order = {"jobs": 50, "at_a_time": 50, "limits": limits, "lease": LEASE}
    async with PaidService(clip, stall=0) as service:
        async with (
            Worker(tmp_path, service, Work(name="one", **order)) as one,
            Worker(tmp_path, service, Work(name="two", **order)) as two,
        ):
            await until(lambda: len(service.charges) > 3, "some are paid")
            await one.kill()
            await two.says("idle")
        async with Worker(tmp_path, service, Work(name="three", **order)) as three:
            await three.says("idle")
    states = Counter(rows(tmp_path, "state"))
    # One that was about to be sent when its process was killed counts, though it may never have left.
    assert states["done"] + states["unknown"] == 10
    assert 10 - states["unknown"] <= len(service.charges) <= 10
    assert states["refused"] >= 50 + 50 - 10
    assert set(service.prompts.values()) == {1}


@pytest.mark.long
async def test_so_many_at_once_also_when_who_sent_them_is_dead(tmp_path: Path, clip: bytes, photo: Photo) -> None:
    limits, most = Limits(per_day=1000, concurrent=3, per_minute=1000), 0
    # They outlast the lease of who sent them.
    async with (
        PaidService(clip, renders=LEASE + 2, stall=0) as service,
        open_studio(tmp_path, service.base_url, limits, pace=leasing(LEASE)) as here,
    ):
        order = Work(name="other", jobs=3, at_a_time=3, limits=limits, lease=LEASE)
        async with Worker(tmp_path, service, order) as worker:
            await until(lambda: rows(tmp_path, "state") == ["rendering"] * 3, "the other's three render")
            for number in range(4):
                await here.submit(photo, f"{number}")
            await until(lambda: "waiting_renders" in rows(tmp_path, "reason"), "ours wait")
            await worker.kill()

            def done() -> bool:
                nonlocal most
                most = max(most, service.rendering(time.monotonic()))
                if len(service.charges) > 3:
                    service.renders = 0.5
                return set(rows(tmp_path, "state")) == {"done"}

            await until(done, "all are done")
    assert most == 3
    assert set(service.prompts.values()) == {1}
    assert len(service.charges) == 7


async def test_a_sixth_within_a_minute_waits_and_says_so(tmp_path: Path, clip: bytes, photo: Photo) -> None:
    limits = Limits(per_day=1000, concurrent=1000, per_minute=5)
    async with PaidService(clip, stall=0) as service, open_studio(tmp_path, service.base_url, limits) as here:
        for number in range(8):
            await here.submit(photo, f"{number}")
        await until(lambda: rows(tmp_path, "state").count("done") == 5, "five are done")
        await until(lambda: "waiting_minute" in rows(tmp_path, "reason"), "one says why it waits")
        await until(lambda: rows(tmp_path, "reason").count("") == 5, "all three say that they wait")
        assert len(service.charges) == 5
        connection = sqlite3.connect(tmp_path / "ledger.db")
        connection.execute("UPDATE jobs SET sending_at = strftime('%Y-%m-%d %H:%M:%f000', sending_at, '-1 minutes')")
        connection.commit()
        connection.close()
        await until(lambda: rows(tmp_path, "state") == ["done"] * 8, "all are done")
    assert len(service.charges) == 8


# Every fault of a submit

CODES_UNCLEAR = (1000, 1001, 1013, 1024, 1033, 1027, 7777)
CODES_REFUSED = (1004, 2049, 1008, 1026, 1042, 2013, 2056)
CODES_BUSY = (1002, 1039, 1041, 2045)
TASK = {"task_id": "306792606023824"}
REFUSED, UNKNOWN, PAID = State.REFUSED, State.UNKNOWN, State.DONE

# What the service does, how the job ends, and how many POSTs that takes: only what was turned away as too much at once
# is sent again, at most twice.
FAULTS: dict[str, tuple[Answer, State, int]] = {
    **{f"code {number}": (code(number), UNKNOWN, 1) for number in CODES_UNCLEAR},
    **{f"code {number}": (code(number), REFUSED, 1) for number in CODES_REFUSED},
    **{f"code {number}": (code(number), REFUSED, 3) for number in CODES_BUSY},
    **{
        f"HTTP {status}": (Answer(status=status), REFUSED, 1)
        for status in (301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 413, 415, 422)
    },
    "HTTP 429": (Answer(status=429), REFUSED, 3),
    **{f"HTTP {status}": (Answer(status=status), UNKNOWN, 1) for status in (408, 418, 500, 501, 502, 503, 504, 520)},
    "a redirect to another host": (Answer(status=307, headers={"Location": "http://127.0.0.1:9/"}), REFUSED, 1),
    "gateway -10001": (gateway(-10001, 401), REFUSED, 1),
    "gateway -10003": (gateway(-10003, 500), UNKNOWN, 1),
    "gateway -10004": (gateway(-10004, 402), REFUSED, 1),
    "gateway -10005": (gateway(-10005, 401), REFUSED, 1),
    "gateway -10008": (gateway(-10008, 503), REFUSED, 1),
    "gateway -10011": (gateway(-10011, 400), REFUSED, 1),
    "no task id": (good(), UNKNOWN, 1),
    "an empty task id": (good(task_id=""), UNKNOWN, 1),
    "no JSON": (Answer(b"<html>", 200), UNKNOWN, 1),
    "an empty answer": (Answer(b""), UNKNOWN, 1),
    "reset": (Answer(reset=True), UNKNOWN, 1),
    "cut off in the head": (Answer(b"", headers={"Content-Length": "50"}, length=False), UNKNOWN, 1),
    "cut off in the middle": (Answer(good(**TASK).body, cut=9), UNKNOWN, 1),
    "compressed, and not": (Answer(b"{}", headers={"Content-Encoding": "gzip"}), UNKNOWN, 1),
    "later than our timing": (Answer(good(**TASK).body, stall=30), UNKNOWN, 1),
    "a task id with HTTP 500": (Answer(good(**TASK).body, 500), PAID, 1),
    "a task id with a refusing code": (code(1026, **TASK), PAID, 1),
}  # fmt: skip
TIMES = 3


@pytest.mark.parametrize(("answer", "state", "posts"), FAULTS.values(), ids=FAULTS)
async def test_every_fault_of_a_submit_is_told_and_nothing_is_sent_twice(
    answer: Answer, state: State, posts: int, service: Service, tmp_path: Path, photo: Photo,
) -> None:  # fmt: skip
    hurry = replace(STEADY, submit=0.5 if answer.stall else 20.0, poll=0.01, backoff=0.01)
    service.submit = [answer]
    service.query = [good(task_id=TASK["task_id"], status="Success", file_id="427071051673913")]
    async with open_studio(tmp_path, service.base_url, timing=hurry, pace=Pace(look=0.05)) as opened:
        for time_ in range(TIMES):
            job = await end(opened, await opened.submit(photo, f"{time_}"))
            assert (job.state, bool(job.ended), job.waits) == (state, True, "")
            if state is not PAID:
                assert job.what
                assert job.advice
            assert job.charge is {REFUSED: Charge.NONE, UNKNOWN: Charge.UNKNOWN, PAID: Charge.SPENT}[state]
            assert len(service.calls("submit")) == (time_ + 1) * posts
        assert await opened.left_today() == 100_000 - (0 if state is REFUSED else TIMES)
    # And the next process, which sends what waits, does not send it either.
    async with open_studio(tmp_path, service.base_url, timing=hurry, pace=Pace(look=0.05)) as opened:
        await end(opened, await opened.submit(photo, "another"))
    assert len(service.calls("submit")) == (TIMES + 1) * posts


async def test_what_cannot_be_reached_is_not_charged(tmp_path: Path, photo: Photo) -> None:
    async with open_studio(tmp_path, "http://127.0.0.1:9/v1") as here:
        job = await end(here, await here.submit(photo, "Nobody listens there."))
        assert await here.left_today() == 100_000
    assert (job.state, job.charge, bool(job.what), bool(job.advice)) == ("refused", Charge.NONE, True, True)


# Full, and locked out


async def test_where_the_clip_cannot_be_written_it_waits_says_so_and_goes_on(
    tmp_path: Path, clip: bytes, photo: Photo
) -> None:
    folder = tmp_path / "clips"
    async with PaidService(clip, stall=0) as service, open_studio(tmp_path, service.base_url) as here:
        folder.rmdir()
        folder.touch()
        ticket = (await here.submit(photo, "She waits for room.")).ticket
        async for job in here.watch(ticket):
            if job.waits:
                break
        assert (job.state, job.charge) == (State.FETCHING, Charge.SPENT)
        assert "cannot be written here" in job.waits
        assert "We keep retrying" in job.waits
        folder.unlink()
        folder.mkdir()
        done = await end(here, job)
        assert (done.state, done.waits, without(here.store.path(done.clip))) == (State.DONE, "", clip)
    assert len(service.charges) == 1


async def test_a_ledger_that_is_away_when_the_task_id_comes_gets_it_afterwards(
    tmp_path: Path, clip: bytes, photo: Photo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "s2v_core")
    async with PaidService(clip, stall=0, thinks=0.7) as service, open_studio(tmp_path, service.base_url) as here:
        sa.event.listen(
            here._ledger.blocking.database.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA busy_timeout = 200")
        )
        job = await here.submit(photo, "She knocks.")
        await until(lambda: len(service.charges) == 1, "it is being paid")
        lock = locked(tmp_path)
        task_id = service.charges[0].task_id
        await until(
            lambda: "the ledger is away" in caplog.text.partition(task_id)[2], "the ledger cannot take the task id"
        )
        assert rows(tmp_path) == [("sending", "")]
        lock.execute("ROLLBACK")
        lock.close()
        done = await end(here, job)
    assert (done.state, done.task_id) == (State.DONE, task_id)
    assert len(service.charges) == 1
