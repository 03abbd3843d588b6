"""What the log says of an error that nobody foresaw."""

from pathlib import Path

import pytest

from s2v_core.errors import report


def test_the_log_says_where_an_error_came_from_and_none_of_its_words(caplog: pytest.LogCaptureFixture) -> None:
    words = "a canary"
    try:
        try:
            Path("/dev/null", words).read_bytes()
        except OSError as error:
            raise ValueError(words) from error
    except ValueError as error:
        report(error)
    assert "in read_bytes" in caplog.text
    assert caplog.text.index("NotADirectoryError: Not a directory") < caplog.text.index("ValueError\n")
    assert words not in caplog.text
