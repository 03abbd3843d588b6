"""One watch for each page, which goes on to whatever is wanted."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from s2v_core.page.view import View

from ..support.waiting import until


async def updates(*words: str, closed: list[str] | None = None) -> AsyncGenerator[str]:
    """These words, and then nothing for ever."""
    try:
        for word in words:
            yield word
        await asyncio.Event().wait()
    finally:
        if closed is not None:
            closed.append(words[0])


async def test_a_watch_goes_on_to_what_is_wanted_while_it_waits() -> None:
    view, seen, closed = View(), [], []

    async def watch() -> None:
        async for ticket in view.wanted():
            async for update in view.until_another(updates(ticket, f"{ticket} again", closed=closed)):
                seen.append(update)

    view.want("a")
    watching = asyncio.create_task(watch())
    await until(lambda: len(seen) == 2, "the first is shown")
    view.want("b")
    await until(lambda: len(seen) == 4, "the second is shown")
    assert (seen, closed) == (["a", "a again", "b", "b again"], ["a"])
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert closed == ["a", "b"]


async def test_nothing_is_said_of_a_job_once_another_is_wanted() -> None:
    view, seen = View(), []
    view.want("a")
    async for ticket in view.wanted():
        async for update in view.until_another(updates(f"{ticket}1", f"{ticket}2")):
            seen.append(update)
            if update == "a1":
                view.want("b")
            if update == "b2":
                view.want()
        if not view.next:
            break
    assert seen == ["a1", "b1", "b2"]


async def test_a_watch_that_comes_after_the_last_wish_was_met_says_nothing() -> None:
    view = View()
    assert [view.want("a"), view.want("b")] == [1, 2]
    assert [ticket async for ticket in view.wanted()] == ["b"]
    assert [ticket async for ticket in view.wanted()] == []


async def test_what_fails_while_it_is_shown_fails_the_watch() -> None:
    async def fails() -> AsyncGenerator[str]:
        yield "said"
        raise ValueError("gone")

    shown = View().until_another(fails())
    assert await anext(shown) == "said"
    with pytest.raises(ValueError, match="gone"):
        await anext(shown)


def test_what_a_browser_says_that_it_keeps_can_be_anything() -> None:
    view = View()
    assert (view.tickets, view.known, view.shown) == (None, [], "")
    view.know(["a", 7, None, "a", ["b"], *map(str, range(900))])
    assert view.known[:3] == ["a", "0", "1"]
    assert len(view.known) == 500


async def test_a_watch_that_nobody_hears_takes_no_later_wish() -> None:
    view = View()
    view.want("the first")
    lost = view.wanted()
    assert await anext(lost) == "the first"
    view.forsake()
    view.want("the second")
    assert [ticket async for ticket in lost] == []
    assert [ticket async for ticket in view.wanted()] == ["the second"]
