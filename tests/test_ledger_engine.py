"""What the ledger asks of its database: soon answered, or told that it is away; and nothing of a row in the log."""

import logging
import traceback

import pytest
import sqlalchemy as sa

from s2v_core.errors import Away

from . import test_ledger
from .test_ledger import Book

url, book = test_ledger.url, test_ledger.book


def test_neither_an_error_of_the_database_nor_its_log_says_what_is_in_a_row(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    canaries = {"ticket": "s2v_canary", "prompt": "She tells a secret.", "photo": "https://photos.example/?signed"}
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    book.enter(request="one", **canaries)
    with pytest.raises(Away) as twice:
        book.enter(request="another", **canaries)
    with pytest.raises((Away, sa.exc.StatementError)) as unfit:
        book.ledger.advance(canaries["ticket"], "a", ended_at=canaries["prompt"])
    told = [line for each in (twice, unfit) for line in traceback.format_exception(each.value)]
    log = "".join(told) + twice.value.reason + getattr(unfit.value, "reason", "") + caplog.text
    assert "INSERT INTO jobs" in log
    assert "IntegrityError" in log or "UniqueViolation" in log
    assert [canary for canary in canaries.values() if canary in log] == []
    assert str(twice.value) == (
        "The list of clips cannot be reached right now. Nothing that is in it is lost: try again in a minute."
    )
