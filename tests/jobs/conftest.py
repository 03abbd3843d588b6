from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support import postgresql
from ..support.ledgers import LedgerDriver

ENGINES = ["sqlite", *(["postgresql"] if postgresql.IS_HERE else [])]


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        with postgresql.database() as url:
            yield url


@pytest.fixture
def shared_url() -> Iterator[str]:
    """An empty database of PostgreSQL."""
    if not postgresql.IS_HERE:
        pytest.skip("PostgreSQL is not installed")
    with postgresql.database() as url:
        yield url


@pytest.fixture
def driver(url: str) -> Iterator[LedgerDriver]:
    driver = LedgerDriver(url)
    yield driver
    driver.close()
