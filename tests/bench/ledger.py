"""What each question costs in a ledger of many jobs, and how it is answered: `python -m tests.bench.ledger`.

`--url` names an empty PostgreSQL database in place of SQLite. `slowest` is a question's slowest statement, `in all` the
whole of it, with the commit. The jobs are those of a year; a thousandth is under way, and twice as many were given up.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from s2v_core.jobs.ledger import Ledger
from s2v_core.jobs.model import Limits

from ..support.ledgers import LedgerDriver
from .rows import Row

FILL = """
INSERT INTO jobs (
    ticket, state, service, provider, key, payer, visitor, request, photo, prompt, prompt_optimizer, amount, task_id,
    clip, queued_at, sending_at, rendering_at, ended_at, changed_at, worker, leased_until
)
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {rows}),
facts AS (
    SELECT i, CASE
        WHEN i > {rows} - {rows} / 1000 THEN CASE WHEN i % 10 < 7 THEN 'queued' ELSE 'rendering' END
        WHEN i % 1000 < 40 THEN 'failed'
        WHEN i % 1000 < 70 THEN 'refused'
        WHEN i % 1000 < 85 THEN 'cancelled'
        WHEN i % 1000 < 95 THEN 'unknown'
        WHEN i % 1000 < 98 THEN 'rendering'
        WHEN i % 1000 < 100 THEN 'fetching'
        ELSE 'done' END AS state,
    CASE
        WHEN i > {rows} - {rows} / 1000 AND i % 10 < 7 OR i % 10 = 1 THEN 'visitor'
        WHEN i % 10 = 0 THEN 'nobody'
        ELSE 'owner' END AS payer,
    CASE WHEN i > {rows} - {rows} / 1000 THEN 'driver' ELSE 'owner' || i % 50 END AS worker,
    31536000.0 * ({rows} - i) / {rows} AS age,
    -- Of the simulator's only the newest: its folder is bounded.
    i > {rows} / 2 AND (i % 10 > 0 OR i > {rows} - {rows} / 100) AS kept,
    CASE WHEN i > {rows} - {rows} / 1000 THEN -3600.0 ELSE 31536000.0 * ({rows} - i) / {rows} END AS lease
    FROM numbers
)
SELECT
    's2v_number' || i, state, 'live', CASE payer WHEN 'nobody' THEN 'Simulator' ELSE '302.AI' END,
    CASE payer WHEN 'owner' THEN 'key' WHEN 'visitor' THEN 'key' || i % 5000 ELSE '' END, payer, 'visitor' || i % 20000,
    'a fingerprint of a request as long as the others, or so ' || i,
    CASE WHEN kept THEN 'photos/of-a-name-that-nobody-guesses-' || i || '.jpg' ELSE '' END,
    CASE WHEN kept THEN 'She looks up at the night sky and smiles, stars in her visor.' ELSE '' END,
    {true}, 700, 'task' || i,
    CASE WHEN kept AND state = 'done' THEN 'clips/of-a-name-that-nobody-guesses-' || i || '.mp4' ELSE '' END,
    {ago}, CASE WHEN state IN ('queued', 'cancelled') THEN NULL ELSE {ago} END,
    CASE WHEN state IN ('queued', 'cancelled') THEN NULL ELSE {ago} END,
    CASE WHEN state IN ('queued', 'rendering', 'fetching') THEN NULL ELSE {ago} END, {ago}, worker, {until}
FROM facts
"""
AGO = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', (-{age}) || ' seconds')",
    "postgresql": "clock_timestamp() AT TIME ZONE 'UTC' - {age} * interval '1 second'",
}


def fill(url: str, rows: int) -> float:
    """So many jobs in an empty ledger; the seconds that its next start takes, which makes the indexes."""
    Ledger(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for index in sa.inspect(connection).get_indexes("jobs"):
            connection.exec_driver_sql(f"DROP INDEX {index['name']}")
        true = "1" if engine.dialect.name == "sqlite" else "true"
        ago, until = (AGO[engine.dialect.name].format(age=age) for age in ("age", "lease"))
        # As text, so that a driver takes no sign in it for a parameter.
        connection.execute(sa.text(FILL.format(rows=rows, ago=ago, until=until, true=true).replace(":", "\\:")))
    began = time.monotonic()
    Ledger(url).close()
    seconds = time.monotonic() - began
    if engine.dialect.name == "postgresql":
        # As it does by itself within a minute.
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE jobs")
    engine.dispose()
    return seconds


@dataclass
class Asked:
    """The statements of a question, and how long each took."""

    statements: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


@contextmanager
def listening(engine: sa.Engine) -> Iterator[Asked]:
    asked = Asked()

    def before(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        connection.info["began"] = time.perf_counter()

    def after(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        asked.seconds.append(time.perf_counter() - connection.info["began"])
        asked.statements.setdefault(statement, parameters)

    sa.event.listen(engine, "before_cursor_execute", before)
    sa.event.listen(engine, "after_cursor_execute", after)
    try:
        yield asked
    finally:
        sa.event.remove(engine, "before_cursor_execute", before)
        sa.event.remove(engine, "after_cursor_execute", after)


def questions(driver: LedgerDriver) -> dict[str, Callable[[], object]]:
    """What a submit asks, a watcher, a claim, and what is asked now and then; each as often as one likes."""
    numbers, ledger = count(), driver.ledger
    # Wide, and all are counted.
    limits = Limits(per_day=10**6, per_visitor=10**6, concurrent=10**6, per_minute=10**6, waiting=10**6)
    usual: dict[str, Any] = {"worker": "bench", "key": "key", "visitor": "visitor1", "limits": limits}
    seen = ledger.jobs(300)
    watched = [row.ticket for row in seen]

    def enter() -> None:
        # Of a key of its own, so that nobody waits behind it.
        driver.enter(f"bench{next(numbers)}", **usual | {"key": "another"})

    def admit() -> None:
        ticket = f"bench{next(numbers)}"
        driver.enter(ticket, **usual)
        assert driver.admit(ticket, limits, worker="bench").state == "sending"

    def claim() -> None:
        # One whose key is not here: it stays free.
        driver.ago(watched[0], leased_until=1)
        ledger.claim("bench", ["none"])

    return {
        "enter": enter,
        "enter and admit": admit,
        "used_today": ledger.used_today,
        "used_today, a visitor's": partial(ledger.used_today, "visitor1"),
        "durations": partial(ledger.durations, "302.AI"),
        "job": partial(ledger.job, watched[0]),
        "changed, of 300": partial(ledger.changed, seen),
        "renew 300": partial(ledger.renew, "driver", watched, {"heartbeat": (0.0, "")}),
        "advance": partial(ledger.advance, watched[0], "driver", status="Processing"),
        "claim": claim,
        "keys_in_use": ledger.keys_in_use,
        "jobs, the newest 50": partial(ledger.jobs, 50),
        "to_forget": partial(ledger.to_forget, 24.0 * 364),
        "erased": ledger.erased,
        "simulated": ledger.simulated,
        "release": partial(ledger.release, "somebody"),
    }


def plan(connection: sa.Connection, statement: str, parameters: Any) -> list[str]:
    """How the database answers a statement, line by line."""
    if connection.dialect.name == "sqlite":
        return [str(row.detail) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    return [str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]


def measure(driver: LedgerDriver, times: int) -> Iterator[tuple[str, Asked, float, float]]:
    """Each question, its statements, and the milliseconds of its slowest and in all."""
    for name, ask in questions(driver).items():
        ask()
        spent, slowest = [], []
        for _ in range(times):
            began = time.perf_counter()
            with listening(driver.ledger.database.engine) as asked:
                ask()
            spent.append(1000 * (time.perf_counter() - began))
            slowest.append(1000 * max(asked.seconds))
        yield name, asked, statistics.median(slowest), statistics.median(spent)


def rows(folder: Path, times: int, many: int = 1_000_000, few: int = 1_000) -> Iterator[Row]:
    """Of many jobs beside few."""
    told = []
    for jobs in (many, few):
        fill(url := f"sqlite:///{folder / f'{jobs}.db'}", jobs)
        with closing(LedgerDriver(url)) as driver:
            told.append({name: spent for name, _, _, spent in measure(driver, times)})
    for name in ("enter and admit", "job", "changed, of 300", "renew 300", "claim"):
        figures = {"this": [told[0][name]], f"with {few:,} jobs": [told[1][name]]}
        yield Row(f"the ledger with {many:,} jobs: {name}", "ms", figures)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ledger", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--url", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{Path(folder) / 'ledger.db'}"
        print(f"{arguments.rows} jobs; the next start, which makes the indexes: {fill(url, arguments.rows):.1f} s")
        with closing(LedgerDriver(url)) as driver:
            told: dict[str, dict[str, Any]] = {}
            print(f"\n{'question':26}{'statements':>12}{'slowest':>12}{'in all':>12}")
            for name, asked, slowest, spent in measure(driver, arguments.times):
                told[name] = asked.statements
                print(f"{name:26}{len(asked.seconds):12}{slowest:9.2f} ms{spent:9.2f} ms", flush=True)
            seen = set()
            with driver.engine.connect() as connection:
                for name, statements in told.items():
                    for statement, parameters in statements.items():
                        if statement not in seen and not statement.startswith(("BEGIN", "SELECT 1")):
                            seen.add(statement)
                            words = " ".join(statement.split())
                            print(f"\n{name}: {words[:40]} … {words[words.find(' WHERE') :][:200]}")
                            print(*(f"    {line}" for line in plan(connection, statement, parameters)), sep="\n")


if __name__ == "__main__":
    main()
