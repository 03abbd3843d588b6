"""A job from the click to the clip, each of its ends, and what brings it back."""

import asyncio
import logging
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request

from s2v_core import Charge, ImageRejected, Photo, PromptRejected, Settings, UnknownTicket
from s2v_core.clip.marks import without
from s2v_core.jobs.model import Job, Limits, Pace, Stage, State
from s2v_core.jobs.studio import Studio
from s2v_core.language import read_in
from s2v_core.simulator.service import Simulator

from ..support.clips import describe
from ..support.photos import PORTRAIT, Whereabouts
from ..support.service import FAST, KEY, PROMPT, TASK, Answer, Service, code, task
from ..support.studios import quick_film, rows, studio_at
from ..support.waiting import until


@pytest.fixture
async def studio(service: Service, tmp_path: Path) -> AsyncIterator[Studio]:
    async with studio_at(service, tmp_path) as studio:
        yield studio


async def watched(studio: Studio, job: Job) -> list[Job]:
    return [job async for job in studio.watch(job.ticket)]


async def test_a_live_job_goes_through_its_states_to_a_clip(
    studio: Studio, service: Service, photo: Photo, clip: bytes
) -> None:
    answers = [*service.submit, *service.query, *service.file]
    for answer in answers:
        answer.stall = 60.0
    jobs = [await studio.submit(photo, PROMPT)]
    async for job in studio.watch(jobs[0].ticket):
        # Each answer comes when what was before it has been seen.
        if answers and job.state is not State.QUEUED and (job.state, job.status) != (jobs[-1].state, jobs[-1].status):
            answers.pop(0).stall = 0.0
        jobs.append(job)
    states = list(dict.fromkeys(job.state for job in jobs))
    assert states == [State.QUEUED, State.SENDING, State.RENDERING, State.FETCHING, State.DONE]
    assert list(dict.fromkeys(job.status for job in jobs)) == ["", "Preparing", "Queueing", "Processing", "Success"]
    done = jobs[-1]
    assert (done.task_id, done.charge, done.what, done.waits) == (TASK, Charge.SPENT, "", "")
    assert list(done.seconds) == list(Stage)
    assert without(studio.store.path(done.clip)) == clip
    assert jobs[0].charge is Charge.NONE


async def test_a_simulated_job_costs_nothing_and_asks_nobody_outside(
    studio: Studio, photo: Photo, service: Service
) -> None:
    jobs = await watched(studio, await studio.submit(photo, PROMPT, service="simulator"))
    assert jobs[-1].state is State.DONE
    assert {job.charge for job in jobs} == {Charge.NONE}
    assert describe(studio.store.path(jobs[-1].clip)).width == 64
    assert service.requests == []


@pytest.mark.parametrize(
    ("answers", "state", "charge"),
    [
        ({"submit": [code(1026)]}, State.REFUSED, Charge.NONE),
        ({"submit": [Answer(status=500)]}, State.UNKNOWN, Charge.UNKNOWN),
        ({"query": [task("Fail")]}, State.FAILED, Charge.PROVIDER),
    ],
    ids=["refused", "unknown", "failed"],
)
async def test_each_end_has_its_state_and_its_charge(
    answers: dict[str, list[Answer]], state: State, charge: Charge, studio: Studio, service: Service, photo: Photo
) -> None:
    for call, given in answers.items():
        setattr(service, call, given)
    last = (await watched(studio, await studio.submit(photo, PROMPT)))[-1]
    assert (last.state, last.charge, last.clip) == (state, charge, "")
    assert last.ended
    assert last.what
    assert last.advice
    assert len(service.calls("submit")) == 1


@pytest.mark.parametrize(
    ("call", "answer", "says"),
    [
        ("query", code(1004), "does not accept this key"),
        ("file", Answer(status=403), "could not be downloaded"),
    ],
    ids=["the key stops working for a while", "the clip cannot be fetched for a while"],
)
async def test_after_the_task_id_trouble_is_waited_out_and_told(
    call: str, answer: Answer, says: str, studio: Studio, service: Service, photo: Photo, clip: bytes
) -> None:
    fine, told = getattr(service, call), False
    setattr(service, call, [answer])
    async for job in studio.watch((await studio.submit(photo, PROMPT)).ticket):
        if says in job.waits:
            told = True
            with read_in("ja"):
                assert not re.search("[a-z]{2,} [a-z]{2,}", job.waits)
            setattr(service, call, fine)
    assert told
    assert job.state is State.DONE
    assert without(studio.store.path(job.clip)) == clip
    assert len(service.calls("submit")) == 1


async def test_the_simulator_is_asked_for_every_step(photo: Photo, tmp_path: Path) -> None:
    at: list[float] = []

    async def note(call: str, request: Request) -> None:
        if call == "query":
            at.append(time.monotonic())

    simulator = Simulator(tmp_path / "simulator", film=quick_film, fault=note)
    async with Studio(Settings(data_dir=tmp_path), simulator=simulator) as studio:
        await studio.submit(photo, PROMPT)
        await until(lambda: len(at) > 1, "it is asked for twice")
    assert at[1] - at[0] < 2.0


async def test_a_job_goes_on_without_its_watcher(studio: Studio, service: Service, photo: Photo) -> None:
    job = await studio.submit(photo, PROMPT)
    async for _ in studio.watch(job.ticket):
        break
    assert (await watched(studio, job))[-1].state is State.DONE
    assert len(service.calls("submit")) == 1


async def test_the_clock_of_a_watched_job_runs_at_least_once_a_second(
    studio: Studio, service: Service, photo: Photo
) -> None:
    answer, sending = service.submit[0], []
    answer.stall = 60.0
    async for job in studio.watch((await studio.submit(photo, PROMPT)).ticket):
        if job.state is State.SENDING:
            sending.append(job.seconds[Stage.SEND])
        if len(sending) == 2:
            answer.stall = 0.0
    assert 0.8 < sending[1] - sending[0] < 5


async def test_a_photo_is_read_in_the_threads_for_photos(studio: Studio) -> None:
    photo = Whereabouts(PORTRAIT.read_bytes())
    await studio.submit(photo, PROMPT)
    assert photo.thread.startswith("photo")


async def test_input_that_is_not_accepted_makes_no_job(studio: Studio, service: Service, photo: Photo) -> None:
    with pytest.raises(ImageRejected):
        await studio.submit(b"text", PROMPT)
    with pytest.raises(PromptRejected):
        await studio.submit(photo, "")
    assert await studio.jobs() == []
    assert service.requests == []


async def test_closing_waits_for_the_answer_of_a_payment(service: Service, photo: Photo, tmp_path: Path) -> None:
    service.submit[0].stall = 0.5
    service.query = [task("Processing")]
    async with studio_at(service, tmp_path) as studio:
        job = await studio.submit(photo, PROMPT)
        await until(lambda: service.requests, "the payment is on its way")
    async with studio_at(service, tmp_path, take_over=False) as studio:
        stopped = await studio.job(job.ticket)
    assert (stopped.state, stopped.task_id, stopped.charge) == (State.RENDERING, TASK, Charge.SPENT)


async def test_the_next_process_drives_on_at_once_what_was_closed(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    good = service.query
    service.query = [task("Processing")]
    async with studio_at(service, tmp_path) as studio:
        job = await studio.submit(photo, PROMPT)
        async for seen in studio.watch(job.ticket):
            if seen.status == "Processing":
                break
    service.query = good
    async with studio_at(service, tmp_path) as studio:
        assert (await watched(studio, job))[-1].state is State.DONE
    assert len(service.calls("submit")) == 1


async def test_without_its_key_a_job_waits_and_says_so(service: Service, photo: Photo, tmp_path: Path) -> None:
    service.query = [task("Processing")]
    async with studio_at(service, tmp_path) as studio:
        job = await studio.submit(photo, PROMPT)
        await until(lambda: service.calls("query"), "it renders")
    service.query = [task("Success", file_id="1")]
    keyless = Studio(Settings(data_dir=tmp_path), simulator=Simulator(tmp_path / "simulator"), timing=FAST)
    async with keyless as studio:
        async for seen in studio.watch(job.ticket):
            if seen.waits:
                break
        assert "the same key" in seen.waits
        assert seen.state is State.RENDERING
    async with studio_at(service, tmp_path) as studio:
        assert (await watched(studio, job))[-1].state is State.DONE


async def test_five_clicks_are_one_charge_and_everybody_watches_it(
    studio: Studio, service: Service, photo: Photo
) -> None:
    service.submit[0].stall = 0.2
    jobs = await asyncio.gather(*(studio.submit(photo, PROMPT) for _ in range(5)))
    assert len({job.ticket for job in jobs}) == 1
    ends = await asyncio.gather(*(watched(studio, job) for job in jobs))
    assert {jobs[-1].state for jobs in ends} == {State.DONE}
    assert len(service.calls("submit")) == 1
    other = await studio.submit(photo, PROMPT, prompt_optimizer=False)
    again = await studio.submit(photo, PROMPT)
    assert len({jobs[0].ticket, other.ticket, again.ticket}) == 3
    assert len(list((studio._settings.data_dir / "photos").iterdir())) == 3


async def test_a_visitors_own_key_pays_for_that_visitor_and_is_not_in_the_row(
    studio: Studio, service: Service, photo: Photo, tmp_path: Path
) -> None:
    own = "sk-visitor-51c0ffee"
    job = await studio.submit(photo, PROMPT, key=own)
    done = (await watched(studio, job))[-1]
    assert (done.state, done.payer) == (State.DONE, "visitor")
    assert {request.headers["authorization"] for request in service.calls("query")} == {f"Bearer {own}"}
    assert await studio.left_today() == 20
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert own.encode() not in file.read_bytes(), file


async def test_what_is_queued_can_be_cancelled_and_what_is_sent_cannot(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    service.query = [task("Processing")]
    async with studio_at(service, tmp_path, limits=Limits(concurrent=1)) as studio:
        first = await studio.submit(photo, PROMPT)
        await until(lambda: service.calls("query"), "it renders")
        second = await studio.submit(photo, "Another one.")
        async for seen in studio.watch(second.ticket):
            if seen.waits:
                break
        assert "1 clips are rendering with this key" in seen.waits
        cancelled = await studio.cancel(second.ticket)
        assert (cancelled.state, cancelled.charge) == (State.CANCELLED, Charge.NONE)
        assert (await studio.cancel(first.ticket)).state is State.RENDERING
    assert len(service.calls("submit")) == 1


@pytest.mark.parametrize(
    ("environment", "sent", "waits"),
    [
        ({}, 3, "3 clips are rendering"),
        ({"S2V_CONCURRENT": "4"}, 4, "4 clips are rendering"),
        ({"S2V_CONCURRENT": "9"}, 5, "5 clips were sent"),
        ({"S2V_CONCURRENT": "9", "S2V_PER_MINUTE": "7"}, 7, "7 clips were sent"),
    ],
    ids=["as they are", "more at once", "more at once than a minute", "more a minute"],
)
async def test_a_key_with_more_quota_uses_it(
    environment: dict[str, str], sent: int, waits: str, service: Service, photo: Photo, tmp_path: Path
) -> None:
    service.query = [task("Processing")]
    live = {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url, "S2V_DATA_DIR": str(tmp_path)}
    settings = Settings.from_environment(live | environment)
    async with Studio(settings, simulator=Simulator(tmp_path / "simulator"), timing=FAST) as studio:
        for number in range(sent):
            await studio.submit(photo, f"{number}")
        last = await studio.submit(photo, "One too many.")
        async for seen in studio.watch(last.ticket):
            if waits in seen.waits:
                break
        assert seen.state is State.QUEUED
        assert len(service.calls("submit")) == sent


async def test_a_ticket_that_is_not_known_opens_nothing(studio: Studio, photo: Photo) -> None:
    job = await studio.submit(photo, PROMPT)
    for wrong in ("", job.ticket[:-1], job.ticket.upper(), TASK, job.ticket + " ", "\0", "\ud800"):
        with pytest.raises(UnknownTicket, match="no such ticket"):
            await studio.job(wrong)


async def test_the_canary_key_is_in_no_file_and_no_log(
    studio: Studio, photo: Photo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await watched(studio, await studio.submit(photo, PROMPT))
    assert TASK in caplog.text
    assert KEY not in caplog.text
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"ledger.db", "ledger.db-wal"} <= {file.name for file in files}
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


async def test_after_the_keeping_time_the_row_stays_without_photo_clip_and_prompt(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path) as studio:
        job = (await watched(studio, await studio.submit(photo, PROMPT)))[-1]
    settings = Settings(data_dir=tmp_path, keep_hours=1e-6)
    async with Studio(settings, simulator=Simulator(tmp_path / "simulator"), timing=FAST) as studio:
        await until(lambda: rows(tmp_path, "prompt, photo, clip") == [("",) * 3], "it is forgotten")
        kept = await studio.job(job.ticket)
    assert (kept.state, kept.photo, kept.clip, kept.amount) == (State.DONE, "", "", None)
    assert not [*(tmp_path / "photos").iterdir(), *(tmp_path / "clips").iterdir()]


async def test_what_is_deleted_leaves_the_disk_at_once_and_its_row_stays(
    studio: Studio, photo: Photo, tmp_path: Path
) -> None:
    job = (await watched(studio, await studio.submit(photo, "A canary prompt.", service="simulator")))[-1]
    await studio.pictures(job)
    studio.store.publish(job)
    there = [path.name for path in tmp_path.rglob("*") if path.is_file() and "ledger." not in path.name]
    # The JPEG that was sent, small too, clip, poster, frames, faces and what was found of them, and the copy that is
    # served; nothing in the simulator.
    assert len(there) == 8
    deleted = await studio.delete(job.ticket)
    assert (deleted.state, deleted.clip, deleted.photo, deleted.prompt) == (State.DONE, "", "", "")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "ledger." not in path.name] == []
    await studio.delete(job.ticket)
    with pytest.raises(UnknownTicket):
        await studio.delete("s2v_nobody")


async def test_what_is_under_way_is_not_deleted(studio: Studio, service: Service, photo: Photo) -> None:
    service.query = [task("Processing")]
    job = await studio.submit(photo, PROMPT)
    kept = await studio.delete(job.ticket)
    assert kept.prompt == PROMPT
    assert studio.store.path(kept.photo).is_file()


async def test_a_clip_has_its_pictures(studio: Studio, photo: Photo) -> None:
    job = (await watched(studio, await studio.submit(photo, PROMPT)))[-1]
    pictures = await studio.pictures(job)
    assert set(pictures) == {"reference", "poster", "stills"}
    assert all(url.startswith("data:image/jpeg;base64,") for url in pictures.values())


async def test_a_visitors_key_leaves_the_memory_when_no_job_needs_it(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    own = "sk-visitor-51c0ffee"
    async with studio_at(service, tmp_path, pace=Pace(idle_key=0.1)) as studio:

        def held() -> bool:
            return studio._ledger.blocking.fingerprint(own) in studio._keys

        good, service.query = service.query, [task("Processing")]
        job = await studio.submit(photo, PROMPT, key=own)
        await until(lambda: service.calls("query"), "it renders")
        # Longer than a key is kept that nothing needs.
        await asyncio.sleep(0.5)
        assert held()
        service.query = good
        assert (await watched(studio, job))[-1].state is State.DONE
        await until(lambda: not held(), "the key is forgotten")
        # The simulator's and the owner's stay.
        assert len(list(studio._keys)) == 2
        again = await studio.submit(photo, PROMPT, key=own)
        assert (await watched(studio, again))[-1].state is State.DONE


async def test_a_key_that_is_forgotten_while_its_job_is_entered_is_there_again(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path, pace=Pace(idle_key=0.01)) as studio:
        lock = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        click = asyncio.create_task(studio.submit(photo, PROMPT, key="sk-visitor-51c0ffee"))
        # It is held for a moment only.
        for number, what in ((3, "the key is held"), (2, "it is forgotten")):
            await until(lambda number=number: len(list(studio._keys)) == number, what, seconds=4, every=0)
        lock.close()
        assert (await watched(studio, await click))[-1].state is State.DONE


async def test_a_job_without_its_key_goes_on_when_it_is_typed_again(
    service: Service, photo: Photo, tmp_path: Path
) -> None:
    good, service.query = service.query, [task("Processing")]
    async with studio_at(service, tmp_path) as studio:
        job = await studio.submit(photo, PROMPT, key="sk-visitor-51c0ffee")
        await until(lambda: service.calls("query"), "it renders")
    service.query = good
    async with studio_at(service, tmp_path) as studio:
        async for seen in studio.watch(job.ticket):
            if "the same key" in seen.waits:
                break
        studio.remember_key("sk-visitor-51c0ffee")
        assert (await watched(studio, job))[-1].state is State.DONE
    assert len(service.calls("submit")) == 1


async def test_what_is_left_today_is_counted_for_each_visitor(service: Service, photo: Photo, tmp_path: Path) -> None:
    async with studio_at(service, tmp_path, limits=Limits(per_day=5, per_visitor=2)) as studio:
        await watched(studio, await studio.submit(photo, PROMPT, visitor="192.0.2.1"))
        assert (await studio.left_today("192.0.2.1"), await studio.left_today("192.0.2.2"), studio.per_day) == (1, 2, 2)
        assert "192.0.2.1" not in (tmp_path / "ledger.db").read_bytes().decode("latin-1")
        assert b"192.0.2.1" not in (tmp_path / "ledger.db-wal").read_bytes()


async def test_a_ledger_apart_from_its_files_is_found_again_and_told_at_the_start(
    photo: Photo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=tmp_path / "mount", ledger_dir=tmp_path / "own", data_mount="nfs4")
    settings.data_dir.mkdir()
    (tmp_path / "own").mkdir()
    async with Studio(settings, simulator=Simulator(tmp_path / "simulator", film=quick_film), timing=FAST) as studio:
        assert settings.ledger_risk in caplog.messages
        job = (await watched(studio, await studio.submit(photo, PROMPT)))[-1]
    async with Studio(settings, simulator=Simulator(tmp_path / "simulator"), timing=FAST) as studio:
        assert (await studio.job(job.ticket)).clip == job.clip
    assert (settings.data_dir / job.clip).is_file()
    assert [path.name for path in settings.data_dir.glob("ledger*")] == ["ledger.id"]
