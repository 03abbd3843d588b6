"""A ledger, and a pencil for what takes too long to wait for."""

import time
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from s2v_core.jobs.ledger import Ledger
from s2v_core.jobs.model import Job, Limits

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
WIDE = Limits(per_day=1000, concurrent=1000, per_minute=1000)


class LedgerDriver:
    """A ledger, and a pencil for what takes too long to wait for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ledger = Ledger(url)
        self.engine = sa.create_engine(sa.make_url(url).set(drivername=DRIVERS[sa.make_url(url).get_backend_name()]))

    def close(self) -> None:
        self.ledger.close()
        self.engine.dispose()

    def enter(self, ticket: str, request: str = "", **values: Any) -> str:
        usual = {
            "service": "live", "provider": "302.AI", "key": "key", "payer": "owner", "visitor": "", "amount": 700,
            "photo": "photos/a.jpg", "prompt": "She smiles.", "prompt_optimizer": True,
        }  # fmt: skip
        usual |= {"limits": WIDE, "until": time.monotonic() + 60}
        entered = self.ledger.enter(ticket, values.pop("worker", "a"), request or ticket, **usual | values)
        return entered.ticket if entered else ""

    def claim(self, worker: str, keys: list[str], **only: Any) -> list[str]:
        return [job.ticket for job in self.ledger.claim(worker, keys, **only)]

    def sent(self, ticket: str, **values: Any) -> Job:
        """One that is being sent."""
        self.enter(ticket, **values)
        return self.admit(ticket, worker=values.get("worker", "a"))

    def rendering(self, ticket: str, **values: Any) -> None:
        self.sent(ticket, **values)
        self.ledger.record_task(ticket, values.get("worker", "a"), f"task of {ticket}")

    def admit(self, ticket: str, limits: Limits = WIDE, worker: str = "a") -> Job:
        self.ledger.admit(worker, [ticket], limits)
        return self.job(ticket)

    def job(self, ticket: str) -> Job:
        job = self.ledger.job(ticket)
        assert job
        return job

    def put(self, ticket: str, **columns: Any) -> None:
        names = ", ".join(f"{name} = :{name}" for name in columns)
        with self.engine.begin() as connection:
            # Typed, so that a time is written as the ledger writes it.
            types = [sa.bindparam(name, value) for name, value in columns.items()]
            connection.execute(
                sa.text(f"UPDATE jobs SET {names} WHERE ticket = :the_ticket").bindparams(*types),
                {"the_ticket": ticket},
            )

    def ago(self, ticket: str, **seconds: float) -> None:
        """Move these columns so far back from now, by the database's clock."""
        now = self.job(ticket).now
        moments = {name: datetime.fromtimestamp(now - past, UTC).replace(tzinfo=None) for name, past in seconds.items()}
        self.put(ticket, **moments)

    def row(self, ticket: str) -> dict[str, Any]:
        with self.engine.connect() as connection:
            query = sa.text("SELECT * FROM jobs WHERE ticket = :ticket")
            return dict(connection.execute(query, {"ticket": ticket}).mappings().one())
