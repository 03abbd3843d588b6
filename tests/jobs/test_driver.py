"""What holds a paid clip back, loses it or pays where nobody waits: each kind once, over a real service."""

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from s2v_core import Charge, Photo, Refused, Settings
from s2v_core.clip.marks import without
from s2v_core.errors import DatabaseUnavailable
from s2v_core.jobs.model import Limits, Pace, State
from s2v_core.jobs.studio import Studio
from s2v_core.simulator.service import Simulator

from ..support.ledgers import LedgerDriver
from ..support.service import FAST, FILE, PROMPT, TASK, Answer, Service, code, task
from ..support.studios import end, locked, rows, studio_at
from ..support.waiting import until

# Stopping


async def test_a_stop_takes_nothing_new_and_waits_for_the_payment_that_was_begun(
    service: Service, photo: Photo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "s2v_core")
    service.submit[0].stall = 1.0
    service.query = [task("Processing")]
    limits = Limits(concurrent=1)
    async with studio_at(service, tmp_path, limits=limits) as studio:
        await studio.submit(photo, PROMPT)
        await studio.submit(photo, "She waits in line.")
        await until(lambda: service.calls("submit"), "the first is being paid")
        studio.stop_admitting()
        with pytest.raises(Refused, match="is stopping"):
            await studio.submit(photo, "She comes too late.")
    assert "waiting for the answer to 1 payments" in caplog.text
    assert rows(tmp_path) == [("rendering", TASK), ("queued", "")]
    assert len(service.calls("submit")) == 1


async def test_an_answer_that_does_not_come_while_it_is_waited_for_is_unknown(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    service.submit[0].stall = 3.0
    async with studio_at(service, tmp_path, pace=Pace(last_answer=0.3), timing=FAST) as studio:
        await studio.submit(photo, PROMPT)
        await until(lambda: service.calls("submit"), "it is being paid")
    assert rows(tmp_path) == [("unknown", "")]


async def test_a_stop_between_the_admission_and_the_sending_leaves_the_job_in_the_queue(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path) as studio:

        def stop(connection: sa.Connection) -> None:
            if connection.exec_driver_sql("SELECT count(*) FROM jobs WHERE state = 'sending'").scalar():
                studio.stop_admitting()

        sa.event.listen(studio._ledger.blocking.database.engine, "commit", stop)
        await studio.submit(photo, PROMPT)
        await until(lambda: studio._closing.is_set(), "it stops")
    assert rows(tmp_path, "state, sending_at") == [("queued", None)]
    async with studio_at(service, tmp_path) as studio:
        await until(lambda: rows(tmp_path) == [("done", TASK)], "the next process has its clip")
    assert len(service.calls("submit")) == 1


async def test_a_stop_between_two_tries_is_told_as_not_charged(
    service: Service, photo: Photo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "s2v_core")
    service.submit = [code(1002)]
    timing = replace(FAST, backoff=30.0)
    async with studio_at(service, tmp_path, pace=Pace(last_answer=0.1), timing=timing) as studio:
        await studio.submit(photo, PROMPT)
        await until(lambda: "submit not taken" in caplog.text, "the first try is turned away")
    assert rows(tmp_path) == [("refused", "")]


async def test_a_payment_that_takes_longer_than_a_lease_stays_ours(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    service.submit[0].stall = 4.0
    # Long enough for a busy machine to renew it in time.
    pace = Pace(lease=2.0, heartbeat=0.1)
    async with studio_at(service, tmp_path, pace=pace) as studio, studio_at(service, tmp_path, pace=pace):
        job = await studio.submit(photo, PROMPT)
        states = [seen.state async for seen in studio.watch(job.ticket)]
    assert State.UNKNOWN not in states
    assert rows(tmp_path) == [("done", TASK)]
    assert len(service.calls("submit")) == 1


# Asked for by somebody who is gone


async def test_a_click_that_the_ledger_cannot_take_in_time_is_told_and_never_paid(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path, pace=Pace(enter=0.3)) as studio:
        lock = locked(tmp_path)
        with pytest.raises(Refused, match=r"within 0.3 seconds, so nothing was sent\. Nothing was charged"):
            await studio.submit(photo, PROMPT)
        lock.close()
    async with studio_at(service, tmp_path) as studio:
        again = await studio.submit(photo, "The next click.")
        assert (await end(studio, again)).state is State.DONE
    assert rows(tmp_path, "prompt") == ["The next click."]
    assert [request.json["prompt"] for request in service.calls("submit")] == ["The next click."]
    assert len(list((tmp_path / "photos").iterdir())) == 1


async def test_a_click_that_was_left_before_it_was_entered_is_never_paid(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path) as studio:
        lock = locked(tmp_path)
        click = asyncio.create_task(studio.submit(photo, PROMPT))
        await until(lambda: studio._intake._entering, "the click is being entered")
        click.cancel()
        await asyncio.wait([click])
        lock.close()
        await until(lambda: rows(tmp_path, "state") == ["cancelled"], "the click is called off")
    assert rows(tmp_path, "reason") == ["left"]
    assert service.requests == []


# The clip


async def test_done_waits_for_no_picture(service: Service, photo: Photo, tmp_path: Path) -> None:
    # Whole, and no frame of it can be decoded.
    bad = b"".join(len(body + b"12345678").to_bytes(4) + kind + body for kind, body in BOXES)
    service.file = [Answer(bad)]
    async with studio_at(service, tmp_path) as studio:
        job = await end(studio, await studio.submit(photo, PROMPT))
        assert (job.state, job.waits) == (State.DONE, "")
        assert set(await studio.pictures(job)) == {"reference"}
        assert without(studio.store.path(job.clip)) == bad
    assert len(service.calls("file")) == 1
    assert len(list((tmp_path / "clips").iterdir())) == 1


BOXES = ((b"ftyp", b"isom0000"), (b"moov", b""), (b"mdat", b"frames"))


async def test_a_clip_whose_file_is_gone_is_told_and_fetched_again(
    service: Service, photo: Photo, tmp_path: Path, clip: bytes
) -> None:
    async with studio_at(service, tmp_path) as studio:
        job = await end(studio, await studio.submit(photo, PROMPT))
        good, service.retrieve = service.retrieve, [Answer(status=500)]
        studio.store.path(job.clip).unlink()
        missed = await studio.job(job.ticket)
        assert (missed.state, missed.charge) == (State.FETCHING, Charge.SPENT)
        assert "no longer here" in missed.waits
        service.retrieve = good
        found = await end(studio, missed)
        assert (found.state, without(studio.store.path(found.clip))) == (State.DONE, clip)
    assert len(service.calls("submit")) == 1


async def test_a_simulated_clip_whose_file_is_gone_is_told(service: Service, photo: Photo, tmp_path: Path) -> None:
    async with studio_at(service, tmp_path) as studio:
        job = await end(studio, await studio.submit(photo, PROMPT, service="simulator"))
        studio.store.path(job.clip).unlink()
        missed = await studio.job(job.ticket)
        assert (missed.state, missed.clip, missed.deleted) == (State.DONE, "", False)
        assert missed.what == "The clip's file is no longer here."


async def test_no_clip_goes_where_another_ledger_is_taken_up(
    service: Service, photo: Photo, tmp_path: Path, clip: bytes
) -> None:
    async with studio_at(service, tmp_path) as studio:
        for number in range(3):
            await end(studio, await studio.submit(photo, f"{number}"))
    settings = Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'another.db'}")
    aged(tmp_path)
    pace = Pace(sweep=0.01, clear_away=0.0)
    async with Studio(settings, simulator=Simulator(tmp_path / "simulator"), pace=pace) as studio:
        await swept(studio, 3)
    assert [without(path) for path in (tmp_path / "clips").glob("*.mp4")] == [clip] * 3


async def test_a_clip_that_a_restored_ledger_does_not_know_is_kept_aside(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path) as studio:
        kept = await end(studio, await studio.submit(photo, "Before the backup."))
        lost = await end(studio, await studio.submit(photo, "After it."))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database, database:
        database.execute("DELETE FROM jobs WHERE ticket = ?", (lost.ticket,))
    aged(tmp_path)
    async with studio_at(service, tmp_path, pace=Pace(sweep=0.01, clear_away=0.0)) as studio:
        await swept(studio, 3)
        assert studio.store.path(kept.clip).is_file()
    assert (tmp_path / "unclaimed" / Path(lost.clip).name).is_file()


async def test_a_deletion_that_was_cut_off_is_finished_by_the_next(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path) as studio:
        job = await end(studio, await studio.submit(photo, PROMPT))
        await studio._ledger.erase(job.ticket)
    assert len(list((tmp_path / "clips").iterdir())) > 0
    async with studio_at(service, tmp_path, pace=Pace(sweep=0.01)):
        await until(lambda: not list((tmp_path / "clips").iterdir()), "the clip is gone")
    assert list((tmp_path / "photos").iterdir()) == []


# What goes wrong where nobody thought of it


async def test_a_drive_that_fails_is_logged_told_and_goes_on(
    service: Service, photo: Photo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, service.query = service.query, [task("Processing")]
    async with studio_at(service, tmp_path) as studio:
        job = await studio.submit(photo, PROMPT)
        await until(lambda: service.calls("submit"), "it is being paid")
        client = studio._keys._clients.pop(studio._keys.owner)
        # Its round of asking ends, and the next finds no client.
        service.query = [code(1004)]
        async for seen in studio.watch(job.ticket):
            if "went wrong on this server" in seen.waits:
                break
        assert (seen.state, seen.charge) == (State.RENDERING, Charge.SPENT)
        assert "KeyError" in caplog.text
        assert job.ticket not in caplog.text
        studio._keys._clients[studio._keys.owner] = client
        service.query = good
        assert (await end(studio, seen)).state is State.DONE
    assert len(service.calls("submit")) == 1


# Asking


def pencil(folder: Path) -> LedgerDriver:
    return LedgerDriver(f"sqlite:///{folder / 'ledger.db'}")


def took(driver: LedgerDriver, provider: str, seconds: float) -> None:
    """Five clips took so long."""
    for ticket in "12345":
        driver.enter(ticket, provider=provider, payer="visitor", key="another")
        driver.put(ticket, state="done")
        driver.ago(ticket, sending_at=seconds + 60, ended_at=60)


async def test_a_clip_is_asked_for_when_those_before_it_say_that_it_may_be_ready(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    service.query = [task("Processing"), task("Success", file_id=FILE)]
    async with studio_at(service, tmp_path) as studio:
        with closing(pencil(tmp_path)) as driver:
            took(driver, studio.services.live.label, 4.0)
        await end(studio, await studio.submit(photo, PROMPT))
    early, ready = (request.at for request in service.calls("query"))
    assert ready - early > 2.2


async def test_who_takes_a_job_over_asks_at_once_and_then_by_its_true_begin(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    timing = replace(FAST, watch=1200.0)
    service.query = [task("Processing")]
    async with studio_at(service, tmp_path, timing=timing) as studio:
        job = await studio.submit(photo, PROMPT)
        await until(lambda: service.calls("query"), "it renders")
    with closing(pencil(tmp_path)) as driver:
        took(driver, job.provider, 1000.0)
        driver.ago(job.ticket, rendering_at=594.0)
    before = len(service.calls("query"))
    service.query = [task("Processing"), task("Success", file_id=FILE)]
    async with studio_at(service, tmp_path, timing=timing) as studio:
        assert (await end(studio, job)).state is State.DONE
    at_once, ready = (request.at for request in service.calls("query")[before:])
    assert ready - at_once > 1.0


async def test_a_ledger_that_cannot_say_how_long_clips_take_holds_none_back(
    service: Service, photo: Photo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with studio_at(service, tmp_path) as studio:

        def fail(connection: sa.Connection, cursor: object, statement: str, *_: object) -> None:
            if "jobs.ended_at DESC" in statement:
                raise sa.exc.OperationalError(statement, None, Exception("away"))

        sa.event.listen(studio._ledger.blocking.database.engine, "before_cursor_execute", fail)
        with pytest.raises(DatabaseUnavailable):
            await studio._ledger.durations("")
        assert (await end(studio, await studio.submit(photo, PROMPT))).state is State.DONE
    assert "the drive of a job failed" not in caplog.text


# Bounds


async def test_only_so_many_wait_for_one_visitor(service: Service, photo: Photo, tmp_path: Path) -> None:
    service.query = [task("Processing")]
    async with studio_at(service, tmp_path, limits=Limits(concurrent=0, waiting=3)) as studio:
        clicks = (studio.submit(photo, f"{number}", visitor="one") for number in range(6))
        found = await asyncio.gather(*clicks, return_exceptions=True)
        full = [str(each) for each in found if isinstance(each, Refused)]
        assert len(full) == 3
        assert full[0].startswith("3 jobs from your address are waiting already. Nothing was charged. Wait until some")
        await studio.submit(photo, "Another's.", visitor="two")


async def test_the_simulator_keeps_its_room_and_leaves_the_rest_to_paid_clips(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path, simulated_bytes=1, pace=Pace(sweep=0.05)) as studio:
        job = await end(studio, await studio.submit(photo, PROMPT, service="simulator"))
        paid = await end(studio, await studio.submit(photo, PROMPT))

        async def deleted() -> bool:
            return (await studio.job(job.ticket)).deleted

        await until(deleted, "the simulator's clip has made room")
        assert studio.store.path(paid.clip).is_file()
    async with studio_at(service, tmp_path, free_bytes=10**18) as studio:
        with pytest.raises(Refused, match="kept for paid clips"):
            await studio.submit(photo, "No room.", service="simulator")
        assert (await end(studio, await studio.submit(photo, "No room."))).state is State.DONE


async def test_a_recovered_ticket_is_remembered_no_longer_than_it_is_of_use(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    service.query = [task("Processing")]
    # It looks for them when the test says so.
    async with studio_at(service, tmp_path, pace=Pace(claim=3600.0)) as studio:
        job = await studio.submit(photo, PROMPT)
        await until(lambda: service.calls("query"), "it renders")
        await studio.resume(job.ticket)
        assert list(studio._worker._to_resume) == [job.ticket]
        await studio._worker.claim()
        assert not studio._worker._to_resume


def aged(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)


async def swept(studio: Studio, times: int) -> None:
    for _ in range(times):
        before = studio._upkeep._swept
        await until(lambda before=before: studio._upkeep._swept != before, "it sweeps again")
