from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ..support.ledgers import POSTGRESQL, LedgerDriver


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRESQL else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = sa.create_engine(POSTGRESQL)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS jobs, ledger"))
    engine.dispose()
    return POSTGRESQL


@pytest.fixture
def driver(url: str) -> Iterator[LedgerDriver]:
    driver = LedgerDriver(url)
    yield driver
    driver.close()
