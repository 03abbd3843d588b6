"""What the ledger asks of its database: soon answered, or told that it is away; and nothing of a row in the log."""

import asyncio
import contextlib
import logging
import socket
import sqlite3
import struct
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from s2v_core.errors import DatabaseUnavailable, SettingsError
from s2v_core.jobs.async_ledger import AsyncLedger
from s2v_core.jobs.ledger import Ledger
from s2v_core.jobs.model import State
from s2v_core.reasons import Reason

from ..bench.ledger import fill, listening, plan, questions
from ..support.ledgers import LedgerDriver

Server = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def server() -> Iterator[Server]:
    """Hands each connection to a function, in a thread of its own."""
    with contextlib.ExitStack() as stack:

        def serve(answer: Callable[[socket.socket], None]) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection = stack.enter_context(listener.accept()[0])
                        threading.Thread(target=answer, args=(connection,), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return int(listener.getsockname()[1])

        yield serve


def log_in(connection: socket.socket) -> None:
    """A PostgreSQL that lets everybody in, and then says no more."""
    while (head := connection.recv(8))[4:] != b"\0\3\0\0":
        assert len(head) == 8
        connection.sendall(b"N")  # neither TLS nor GSSAPI
    connection.recv(struct.unpack("!I", head[:4])[0] - 8)
    for kind, body in ((b"R", bytes(4)), (b"S", b"server_version\x0015.1\0"), (b"Z", b"I")):
        connection.sendall(kind + struct.pack("!I", len(body) + 4) + body)


async def test_who_asks_a_ledger_that_was_closed_is_told_that_it_is_away(tmp_path: Path) -> None:
    ledger = AsyncLedger(Ledger(tmp_path / "ledger.db"))
    ledger.close()
    with pytest.raises(DatabaseUnavailable):
        await ledger.job("s2v_nobody")
    with pytest.raises(DatabaseUnavailable):
        await ledger.end_submit("s2v_nobody", State.UNKNOWN, Reason.SUBMIT_FAULT, {})


@pytest.mark.parametrize("answer", [lambda _: None, log_in], ids=["from the start", "once one is in"])
async def test_a_silent_database_is_away_in_bounded_time(
    answer: Callable[[socket.socket], None], server: Server
) -> None:
    with pytest.raises(DatabaseUnavailable) as told:
        await asyncio.to_thread(Ledger, f"postgresql://somebody:hidden@127.0.0.1:{server(answer)}/any", patience=0.3)
    assert "hidden" not in told.value.cause


async def test_who_waits_for_the_ledger_holds_up_nobody_else(tmp_path: Path) -> None:
    ledger = AsyncLedger(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", patience=0.5))
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [asyncio.create_task(ledger.renew("a", [], {})) for _ in range(50)]
        await asyncio.sleep(0)
        async with asyncio.timeout(0.4):
            assert await asyncio.to_thread(threading.active_count)
        assert not any(task.done() for task in waiting)
        first, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert {type(task.exception()) for task in first} == {DatabaseUnavailable}
        other.rollback()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not waiting[-1].exception()
    ledger.close()


def test_a_database_that_falls_silent_is_away_until_it_speaks_again(server: Server, shared_url: str) -> None:
    there, silent = sa.make_url(shared_url), threading.Event()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not silent.is_set():
                    sink.sendall(data)

    def answer(connection: socket.socket) -> None:
        with socket.create_connection((there.host or "", there.port or 5432)) as upstream:
            threading.Thread(target=pump, args=(upstream, connection), daemon=True).start()
            pump(connection, upstream)

    through = there.set(host="127.0.0.1", port=server(answer)).render_as_string(hide_password=False)
    with contextlib.closing(Ledger(through, patience=2)) as ledger:
        assert ledger.job("nobody") is None
        silent.set()
        for act in (lambda: ledger.job("nobody"), lambda: ledger.cancel("nobody", Reason.LEFT)):
            with pytest.raises(DatabaseUnavailable):
                act()
        silent.clear()
        assert ledger.job("nobody") is None


def test_who_froze_in_its_turn_loses_it(shared_url: str) -> None:
    with (
        contextlib.closing(Ledger(shared_url, patience=0.5)) as frozen,
        contextlib.closing(Ledger(shared_url)) as other,
    ):
        turn = frozen.database.write()
        turn.__enter__()
        other.cancel("nobody", Reason.LEFT)
        with pytest.raises(DatabaseUnavailable):
            turn.__exit__(None, None, None)


def test_neither_an_error_of_the_database_nor_its_log_says_what_is_in_a_row(
    driver: LedgerDriver, caplog: pytest.LogCaptureFixture
) -> None:
    canaries = {"ticket": "s2v_canary", "prompt": "She tells a secret.", "photo": "https://photos.example/?signed"}
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    driver.enter(request="one", **canaries)
    with pytest.raises(DatabaseUnavailable) as twice:
        driver.enter(request="another", **canaries)
    with pytest.raises((DatabaseUnavailable, sa.exc.StatementError)) as unfit:
        driver.ledger.advance(canaries["ticket"], "a", ended_at=canaries["prompt"])
    told = [line for each in (twice, unfit) for line in traceback.format_exception(each.value)]
    log = "".join(told) + twice.value.cause + getattr(unfit.value, "cause", "") + caplog.text
    assert "INSERT INTO jobs" in log
    assert "IntegrityError" in log or "UniqueViolation" in log
    assert [canary for canary in canaries.values() if canary in log] == []
    assert str(twice.value) == (
        "The list of clips cannot be reached right now. Nothing that is in it is lost: try again in a minute."
    )


@pytest.mark.parametrize(
    "url",
    ["hidden", "sqlite://", "mysql://me:hidden@host/x", "postgresql+pg8000://me:hidden@host/x", "sqlite:///:memory:"],
)
def test_a_url_that_cannot_work_is_named_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="S2V_DATABASE_URL") as told:
        Ledger(url)
    assert "hidden" not in "".join(traceback.format_exception(told.value))


# Many jobs


def test_no_question_reads_all_jobs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    fill(url, 2000)
    with contextlib.closing(LedgerDriver(url)) as driver:
        for name, ask in questions(driver).items():
            with listening(driver.ledger.database.engine) as asked:
                ask()
            with driver.engine.connect() as connection:
                steps = [step for statement in asked.statements.items() for step in plan(connection, *statement)]
            assert not [step for step in steps if step.startswith("SCAN jobs") and "jobs_newest" not in step], name
            assert not [step for step in steps if "ORDER BY" in step], name
            # These can be nearly all.
            wide = ("(key=?)", "(payer=?)", "(provider=?)")
            assert not [step for step in steps if step.endswith(wide)], name


def test_an_earlier_ledger_gets_its_indexes_whoever_opens_it(url: str) -> None:
    def indexes() -> set[str | None]:
        engine = sa.create_engine(url)
        names = {index["name"] for index in sa.inspect(engine).get_indexes("jobs")}
        engine.dispose()
        return names

    Ledger(url).close()
    usual = indexes()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for name in usual:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        connection.exec_driver_sql("CREATE INDEX ix_jobs_state ON jobs (state)")
    engine.dispose()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: Ledger(url).close(), range(4)))
    assert indexes() == usual
    assert len(usual) > 5


def test_the_newest_jobs_come_first_and_only_as_many_as_are_asked_for(driver: LedgerDriver) -> None:
    for number in range(5):
        driver.enter(f"{number}")
        driver.ago(f"{number}", queued_at=10 - number)
    assert [job.ticket for job in driver.ledger.jobs(2)] == ["4", "3"]
    assert [job.ticket for job in driver.ledger.jobs()] == ["4", "3", "2", "1", "0"]
