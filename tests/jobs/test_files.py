"""Files are where their rows say, in a folder or in the database of many machines."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from s2v_core import Photo
from s2v_core.errors import DatabaseUnavailable
from s2v_core.jobs.files import PART_BYTES, FolderFiles, files_in
from s2v_core.jobs.ledger import Ledger
from s2v_core.jobs.model import Limits, Pace, State
from s2v_core.jobs.schema import FILES
from s2v_core.jobs.store import FileStore
from s2v_core.jobs.studio import Studio

from ..support.ledgers import LedgerDriver
from ..support.service import PROMPT, Service
from ..support.studios import end, leasing, studio_at

# Of three rows, the last of which is not full.
LONG = bytes(range(256)) * (PART_BYTES // 100)
Machine = Callable[[], FileStore]


@pytest.fixture
def files(driver: LedgerDriver, tmp_path: Path) -> FolderFiles:
    files = files_in(tmp_path / "files", driver.ledger.database)
    files.make(driver.ledger.identity, driver.ledger.unnamed)
    return files


@pytest.fixture
def shared(shared_url: str) -> Iterator[LedgerDriver]:
    driver = LedgerDriver(shared_url)
    yield driver
    driver.close()


@pytest.fixture
def machine(shared: LedgerDriver, tmp_path: Path) -> Machine:
    """One more machine on the shared ledger, with a folder of its own."""
    made: list[FileStore] = []

    def machine() -> FileStore:
        folder = tmp_path / str(len(made))
        files = files_in(folder, shared.ledger.database)
        files.make(shared.ledger.identity, shared.ledger.unnamed)
        made.append(FileStore(files, folder / "public"))
        return made[-1]

    return machine


def parts(driver: LedgerDriver) -> list[tuple[str, int]]:
    with driver.engine.connect() as connection:
        rows = connection.execute(sa.select(FILES.c.name, sa.func.octet_length(FILES.c.data)).order_by(FILES.c.part))
        return [(row[0], row[1]) for row in rows]


def a_clip(driver: LedgerDriver, store: FileStore, ticket: str = "s2v_a", data: bytes = LONG) -> str:
    """A job whose clip is here and recorded; the clip's name."""
    driver.rendering(ticket, photo=store.keep(b"a photo"))
    with store.new_clip() as name:
        store.path(name).write_bytes(data)
        driver.ledger.record_clip(ticket, name, file=store.path(name))
    return name


# On both


def test_what_was_kept_is_there_whole_until_it_is_removed(files: FolderFiles) -> None:
    files.keep("photos/a.jpg", LONG)
    files.keep("photos/b.jpg", b"another")
    assert (files.has("photos/a.jpg"), files.has("photos/none.jpg")) == (True, False)
    assert files.path("photos/a.jpg").read_bytes() == LONG
    assert files.read("photos/a.jpg") == LONG
    names = ["photos/a.jpg", "photos/b.jpg", "photos/none.jpg"]
    assert files.sizes(names) == {"photos/a.jpg": len(LONG), "photos/b.jpg": 7}
    files.remove(["photos/a.jpg", "photos/none.jpg"])
    assert (files.has("photos/a.jpg"), files.has("photos/b.jpg")) == (False, True)
    with pytest.raises(FileNotFoundError):
        files.read("photos/a.jpg")


async def test_what_waits_for_its_file_keeps_nobody_else_waiting(files: FolderFiles) -> None:
    store, away = FileStore(files, files.path("public")), threading.Event()
    waiting = [asyncio.create_task(store.run(away.wait)) for _ in range(50)]
    try:
        await asyncio.sleep(0)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "a photo"), 30) == "a photo"
    finally:
        away.set()
        await asyncio.gather(*waiting)


def test_what_lay_in_a_folder_before_is_not_taken_for_a_cache(shared: LedgerDriver, tmp_path: Path) -> None:
    before = FolderFiles(tmp_path)
    before.make("ours", lambda stems: set(stems))
    before.keep("clips/a.mp4", b"a clip")
    os.utime(before.path("clips/a.mp4"), (0, 0))
    files = files_in(tmp_path, shared.ledger.database)
    files.make(shared.ledger.identity, shared.ledger.unnamed)
    FileStore(files, tmp_path / "public").sweep()
    files.clear_away(shared.ledger.unnamed, set())
    assert before.path("clips/a.mp4").read_bytes() == b"a clip"


def test_what_is_kept_twice_is_the_second(files: FolderFiles) -> None:
    for data in (LONG, b"shorter"):
        files.keep("photos/a.jpg", data)
    assert files.path("photos/a.jpg").read_bytes() == b"shorter"
    assert files.sizes(["photos/a.jpg"]) == {"photos/a.jpg": 7}


def test_a_clip_that_was_recorded_is_there(files: FolderFiles, driver: LedgerDriver) -> None:
    store = FileStore(files, files.path("public"))
    name = a_clip(driver, store)
    assert (driver.job("s2v_a").state, driver.job("s2v_a").clip) == (State.DONE, name)
    assert files.has(name)
    assert store.sizes([driver.job("s2v_a"), driver.job("s2v_a")]) == [len(LONG) + len(b"a photo")] * 2
    assert store.may_be_served(store.publish(driver.job("s2v_a")).parent.name)


async def test_a_job_leaves_nothing_when_it_is_deleted(
    url: str, service: Service, photo: Photo, tmp_path: Path
) -> None:
    database_url = "" if url.startswith("sqlite") else url
    async with studio_at(service, tmp_path, database_url=database_url) as studio:
        done = await end(studio, await studio.submit(photo, PROMPT))
        assert done.state is State.DONE
        await studio.pictures(done)
        studio.store.publish(done)
        assert len([path for path in tmp_path.rglob("*") if path.suffix in {".jpg", ".mp4"}]) > 3
        await studio.delete(done.ticket)
        assert [path for path in tmp_path.rglob("*") if path.suffix in {".jpg", ".mp4"}] == []


# On a database that machines share


def test_rows_are_of_a_megabyte_at_most(shared: LedgerDriver, machine: Machine) -> None:
    name = a_clip(shared, machine())
    sizes = [size for part, size in parts(shared) if part == name]
    assert (max(sizes), sum(sizes)) == (PART_BYTES, len(LONG))


def test_what_one_machine_keeps_another_has(shared: LedgerDriver, machine: Machine, photo: Photo) -> None:
    one, other = machine(), machine()
    kept = one.keep(photo.jpeg)
    assert other.photo(kept).jpeg == photo.jpeg
    name = a_clip(shared, one)
    assert not other.path(name).exists()
    assert other.has(name)
    assert other.path(name).read_bytes() == LONG
    assert other.publish(shared.job("s2v_a")).read_bytes() == LONG


def test_a_photo_is_sent_from_a_machine_whose_disk_takes_nothing(shared: LedgerDriver, machine: Machine) -> None:
    one, other = machine(), machine()
    kept = one.keep(b"a photo")
    other.path("photos").rmdir()
    other.path("photos").touch()
    assert other.photo(kept).jpeg == b"a photo"


def test_the_sizes_of_all_jobs_are_one_question(shared: LedgerDriver, machine: Machine) -> None:
    store, asked = machine(), list[str]()
    for number in range(5):
        a_clip(shared, store, f"s2v_{number}", b"a clip")
    sa.event.listen(shared.ledger.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    assert store.sizes([shared.job(f"s2v_{number}") for number in range(5)]) == [13] * 5
    assert len([text for text in asked if "octet_length" in text]) == 1


def test_what_one_machine_deletes_no_other_serves(shared: LedgerDriver, machine: Machine, tmp_path: Path) -> None:
    one, other = machine(), machine()
    a_clip(shared, one)
    job = shared.job("s2v_a")
    published = [store.publish(job) for store in (one, other)]
    assert other.photo(job.photo).jpeg == b"a photo"
    assert other.may_be_served(published[1].parent.name)
    assert shared.ledger.erase("s2v_a")
    assert parts(shared) == []
    assert not any(store.may_be_served(path.parent.name) for store, path in zip((one, other), published, strict=True))
    # Nor what was published by somebody who is not remembered.
    other._files.unpublish(published[1].parent.name)
    assert not other.may_be_served(published[1].parent.name)
    assert other.may_be_served("0123456789abcdef0123456789abcdef")
    other._files.publish(published[1].parent.name, [job.clip])
    one.remove("s2v_a", job.photo, job.clip)
    # Its row names nothing any more: another machine's copies go by themselves.
    shared.ledger.clear("s2v_a")
    old = time.time() - 100
    for path in (path for path in other.path("").rglob("*") if path.is_file()):
        os.utime(path, (old, old))
    other.sweep()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in {".mp4", ".jpg"}] == []
    assert other._files.published(published[1].parent.name) == []


def test_a_clip_and_its_end_are_one_transaction(
    shared: LedgerDriver, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine()
    shared.rendering("s2v_a")
    with store.new_clip() as name:
        store.path(name).write_bytes(LONG)
        monkeypatch.setattr(Ledger, "_set", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shared.ledger.record_clip("s2v_a", name, file=store.path(name))
    assert (shared.job("s2v_a").state, parts(shared)) == (State.RENDERING, [])


def test_a_clip_is_recorded_once_however_often_it_is_said(shared: LedgerDriver, machine: Machine) -> None:
    store = machine()
    name = a_clip(shared, store)
    assert shared.ledger.record_clip("s2v_a", name, file=store.path(name)).clip == name
    assert sum(size for part, size in parts(shared) if part == name) == len(LONG)


def test_a_clip_that_comes_too_late_is_not_kept(shared: LedgerDriver, machine: Machine) -> None:
    store = machine()
    first = a_clip(shared, store)
    with store.new_clip() as late:
        store.path(late).write_bytes(LONG)
        shared.ledger.record_clip("s2v_a", late, file=store.path(late))
    assert {part for part, _ in parts(shared)} == {first, shared.job("s2v_a").photo}


def test_a_photo_that_no_row_names_goes_after_a_day_and_no_other(shared: LedgerDriver, machine: Machine) -> None:
    store = machine()
    named, fresh, orphan = store.keep(b"named"), store.keep(b"fresh"), store.keep(b"orphan")
    shared.enter("s2v_a", photo=named)
    with shared.engine.begin() as connection:
        connection.execute(sa.update(FILES).where(FILES.c.name != fresh).values(kept_at=sa.text("'2000-01-01'")))
    store.clear_away(shared.ledger.unnamed)
    assert {part for part, _ in parts(shared)} == {named, fresh}
    assert orphan not in {named, fresh}


async def test_a_queued_job_is_taken_over_with_its_photo(
    shared_url: str, service: Service, photo: Photo, tmp_path: Path
) -> None:
    def machine(name: str, concurrent: int) -> Studio:
        limits = Limits(concurrent=concurrent)
        return studio_at(service, tmp_path / name, database_url=shared_url, pace=leasing(1.0), limits=limits)

    # It takes the order, and never pays.
    async with machine("one", 0) as one:
        job = await one.submit(photo, PROMPT)
    async with machine("other", 1) as other:
        done = await end(other, job)
        assert done.state is State.DONE
        assert set(await other.pictures(done)) >= {"reference", "poster"}
        assert len(service.calls("submit")) == 1
    # And a third has its clip, without asking the service.
    asked = len(service.requests)
    async with machine("third", 0) as third:
        found = await third.job(job.ticket)
        assert third.store.has(found.clip)
        assert third.store.path(found.clip).read_bytes() == other.store.path(done.clip).read_bytes()
        await third.delete(job.ticket)
    assert len(service.requests) == asked


async def test_what_the_simulator_of_a_machine_that_died_was_making_another_one_makes(
    shared_url: str, service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path / "one", database_url=shared_url, pace=leasing(1.0)) as one:
        job = await one.submit(photo, PROMPT, service="simulator")
        async for seen in one.watch(job.ticket):
            if seen.state is State.RENDERING:
                break
    async with studio_at(service, tmp_path / "other", database_url=shared_url, pace=leasing(1.0)) as other:
        done = await end(other, job)
        assert (done.state, done.task_id != seen.task_id) == (State.DONE, True)
        assert other.store.has(done.clip)
    assert service.requests == []


async def test_a_photo_that_cannot_be_read_yet_is_not_paid_for(
    shared_url: str, service: Service, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away(_: FileStore, name: str) -> Photo:
        asked.append(name)
        if len(asked) < 3:
            raise DatabaseUnavailable("away")
        return photo

    monkeypatch.setattr(FileStore, "photo", away)
    pace = Pace(admission=0.1)
    async with studio_at(service, tmp_path, database_url=shared_url, pace=pace) as studio:
        done = await end(studio, await studio.submit(photo, PROMPT))
    assert (done.state, len(asked), len(service.calls("submit"))) == (State.DONE, 3, 1)
