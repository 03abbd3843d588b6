"""A ledger that machines share: however PostgreSQL is set up, and whatever becomes of it meanwhile."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from s2v_core import Photo
from s2v_core.errors import DatabaseUnavailable
from s2v_core.jobs.ledger import Ledger
from s2v_core.jobs.model import Limits, State

from ..support import postgresql
from ..support.forks import PROCESSES
from ..support.ledgers import WIDE, LedgerDriver
from ..support.service import PROMPT, Service, task
from ..support.studios import end, studio_at
from ..support.waiting import until

CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def identity(url: str, told: "multiprocessing.Queue[str]") -> None:
    try:
        with closing(Ledger(url)) as ledger:
            told.put(ledger.identity)
    except DatabaseUnavailable as error:
        told.put(error.cause)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server that no other test has, and its folder."""
    if not postgresql.IS_HERE or postgresql.GIVEN:
        pytest.skip("there is no PostgreSQL here that can be stopped")
    folder = tmp_path / "postgresql"
    folder.mkdir()
    for parent in folder.parents[:4]:
        # pytest's folders are its user's alone, and the server is another's.
        parent.chmod(parent.stat().st_mode | 0o055) if parent.owner() == Path.home().owner() else None
    url = postgresql.start(folder)
    yield url, folder
    postgresql.stop(folder, "immediate")


@pytest.mark.long
def test_sixty_processes_that_open_a_new_database_at_once_find_one_ledger(shared_url: str) -> None:
    told = PROCESSES.Queue()
    processes = [PROCESSES.Process(target=identity, args=(shared_url, told)) for _ in range(60)]
    for process in processes:
        process.start()
    found = {told.get(timeout=150) for _ in processes}
    for process in processes:
        process.join(30)
    assert (len(found), {process.exitcode for process in processes}) == (1, {0})


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read", "read committed"])
def test_limits_and_times_hold_however_the_database_is_set_up(isolation: str, shared_url: str) -> None:
    name = sa.make_url(shared_url).database
    engine = sa.create_engine(sa.make_url(shared_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET timezone = 'Pacific/Auckland'")
    engine.dispose()
    drivers = [LedgerDriver(shared_url) for _ in range(8)]
    limits = Limits(per_day=5, concurrent=100, per_minute=100)

    def click(number: int) -> State:
        driver = drivers[number % 8]
        driver.enter(f"s2v_{number}")
        # Who came first is sent first.
        while (state := driver.admit(f"s2v_{number}", limits).state) is State.QUEUED:
            time.sleep(0.01)
        return state

    with ThreadPoolExecutor(8) as threads:
        states = list(threads.map(click, range(40)))
    assert (states.count(State.SENDING), states.count(State.REFUSED)) == (5, 35)
    job = drivers[0].job("s2v_0")
    assert job.now == pytest.approx(time.time(), abs=60)
    assert job.queued == pytest.approx(job.now, abs=60)
    with ThreadPoolExecutor(8) as threads:
        one = set(threads.map(lambda number: drivers[number % 8].enter(f"s2v_x{number}", "one"), range(24)))
    assert len(one) == 1
    for driver in drivers:
        driver.close()


def test_who_has_closed_a_ledger_is_not_connected_any_more(shared_url: str) -> None:
    engine = sa.create_engine(sa.make_url(shared_url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with closing(Ledger(shared_url)) as ledger, engine.connect() as connection:
        ledger.enter(
            "s2v_a", "a", "one", limits=WIDE, until=time.monotonic() + 60, service="live", provider="302.AI", key="",
            payer="owner", visitor="", amount=700, photo="photos/a.jpg", prompt="She smiles.", prompt_optimizer=True,
        )  # fmt: skip
        assert connection.scalar(sa.text(CONNECTED)) == 1
        assert connection.scalar(sa.text(f"{CONNECTED} AND state LIKE 'idle in transaction%'")) == 0
    with engine.connect() as connection:
        assert connection.scalar(sa.text(CONNECTED)) == 0


async def test_a_job_outlives_the_death_of_its_database(
    own_server: tuple[str, Path], service: Service, photo: Photo, tmp_path: Path
) -> None:
    url, folder = own_server
    service.query = [task("Processing")]
    async with studio_at(service, tmp_path / "data", database_url=url) as studio:
        job = await studio.submit(photo, PROMPT)
        await until(lambda: len(service.calls("query")) > 1, "it renders")
        postgresql.stop(folder, "immediate")
        service.query = [task("Success", file_id="1")]
        asked = len(service.calls("query"))
        await until(lambda: len(service.calls("query")) > asked, "it is asked for all the same")
        postgresql.start(folder, port=sa.make_url(url).port or 0)
        done = await end(studio, job)
        assert done.state is State.DONE
        assert studio.store.has(done.clip)
    assert len(service.calls("submit")) == 1
