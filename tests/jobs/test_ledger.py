"""Each promise of the ledger, on SQLite and on PostgreSQL."""

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from s2v_core.errors import Busy, DatabaseUnavailable
from s2v_core.jobs.ledger import STALE_SECONDS, Ledger
from s2v_core.jobs.model import GIVE_UP_SECONDS, UNDER_WAY, Charge, Job, Limits, Pace, Payer, Stage, State
from s2v_core.reasons import Reason

from ..support.ledgers import WIDE, LedgerDriver

HOUR, DAY = 3600, 24 * 3600
NOBODY: tuple[list[Job], set[str]] = ([], set())


# Sending


def test_the_same_request_under_way_is_the_same_job(driver: LedgerDriver) -> None:
    assert driver.enter("one", "request") == "one"
    assert driver.enter("two", "request") == "one"
    assert driver.enter("three", "another") == "three"
    for state in UNDER_WAY:
        driver.put("one", state=state)
        assert driver.enter("two", "request", worker="b") == "one"
    assert [job.ticket for job in driver.ledger.jobs()] == ["three", "one"]


def test_a_ticket_that_was_promised_for_the_same_request_leads_to_its_job(driver: LedgerDriver) -> None:
    assert driver.enter("one", "same") == "one"
    for _ in range(2):
        assert driver.enter("two", "same", promised=True) == "one"
    assert driver.enter("three", "same") == "one"
    assert (driver.job("two").ticket, driver.ledger.job("three")) == ("one", None)
    # Its own, if it is queued as it was promised.
    assert driver.enter("four", "other", promised=True) == "four"
    assert driver.enter("four", "other", promised=True) == "four"
    assert driver.job("four").ticket == "four"


@pytest.mark.parametrize("state", sorted(set(State) - set(UNDER_WAY)))
def test_the_same_request_after_an_end_is_a_new_job(driver: LedgerDriver, state: State) -> None:
    driver.enter("one", "request")
    driver.put("one", state=state)
    assert driver.enter("two", "request") == "two"


def test_what_is_admitted_is_being_sent_before_anybody_hears_of_it(driver: LedgerDriver) -> None:
    driver.enter("one")
    assert driver.job("one").state is State.QUEUED
    assert driver.admit("one").state is State.SENDING
    assert driver.row("one")["sending_at"]
    assert list(driver.job("one").seconds) == [Stage.PREPARE, Stage.SEND]


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_only_what_is_queued_is_admitted(driver: LedgerDriver, state: State) -> None:
    driver.enter("one")
    driver.put("one", state=state)
    assert driver.admit("one").state is state
    assert driver.row("one")["sending_at"] is None


def test_what_was_admitted_by_a_commit_whose_answer_was_lost_is_told_again(driver: LedgerDriver) -> None:
    driver.enter("one")
    driver.ledger.admit("a", ["one"], WIDE)
    assert [job.state for job in driver.ledger.admit("a", ["one"], WIDE)[0]] == [State.SENDING]
    driver.ledger.record_task("one", "a", "1")
    assert driver.ledger.admit("a", ["one"], WIDE) == NOBODY


def test_what_another_process_has_taken_over_is_not_admitted_here(driver: LedgerDriver) -> None:
    driver.enter("one")
    driver.ago("one", leased_until=1)
    assert driver.claim("b", ["key"]) == ["one"]
    assert driver.ledger.admit("a", ["one"], WIDE) == NOBODY
    assert driver.admit("one", worker="b").state is State.SENDING
    # Where the first one would pay a second time: it sees a row that is being sent, by somebody else.
    assert driver.ledger.admit("a", ["one"], WIDE) == NOBODY


def test_nobody_admits_what_is_not_there(driver: LedgerDriver) -> None:
    assert driver.ledger.admit("a", ["one"], WIDE) == NOBODY


# The limits


def test_over_the_cap_of_the_day_is_refused_with_a_sentence(driver: LedgerDriver) -> None:
    limits = Limits(per_day=2, concurrent=9, per_minute=9)
    for ticket in ("one", "two", "three"):
        driver.enter(ticket)
    assert [driver.admit(ticket, limits).state for ticket in ("one", "two", "three")] == [
        "sending",
        "sending",
        "refused",
    ]
    refused = driver.job("three")
    assert refused.what == "Today's 2 clips are used up; the count starts anew at midnight UTC."
    assert (refused.charge, bool(refused.ended)) == (Charge.NONE, True)
    assert driver.ledger.used_today() == 2


def test_over_a_cap_nobody_waits_for_who_is_ahead(driver: LedgerDriver) -> None:
    limits = Limits(per_day=2, per_visitor=1, concurrent=9, per_minute=9)
    driver.sent("hers", visitor="her")
    # There is room for him, whose process has not looked yet.
    driver.enter("his", worker="another", visitor="him")
    driver.enter("hers again", visitor="her")
    driver.enter("theirs", visitor="them")
    assert driver.admit("hers again", limits).reason is Reason.YOUR_DAY_USED
    assert driver.admit("theirs", limits).waits == "Waiting: 1 ahead of it."
    assert driver.admit("his", limits, worker="another").state is State.SENDING
    driver.enter("also ahead", worker="another", visitor="him", key="key")
    assert driver.admit("theirs", limits).reason is Reason.DAY_USED


SPENT = {
    State.QUEUED: 0, State.SENDING: 1, State.RENDERING: 1, State.FETCHING: 1, State.DONE: 1, State.FAILED: 1,
    State.REFUSED: 0, State.UNKNOWN: 1, State.CANCELLED: 0,
}  # fmt: skip


@pytest.mark.parametrize("state", State)
def test_what_counts_as_spent_today(driver: LedgerDriver, state: State) -> None:
    driver.sent("one")
    driver.put("one", state=state)
    assert driver.ledger.used_today() == SPENT[state]


def test_a_refusal_gives_the_clip_back_and_an_unclear_end_does_not(driver: LedgerDriver) -> None:
    limits = Limits(per_day=1, concurrent=9, per_minute=9)
    driver.sent("one")
    driver.ledger.end_submit("one", State.REFUSED, Reason.BALANCE, {})
    assert driver.ledger.used_today() == 0
    driver.enter("two")
    assert driver.admit("two", limits).state is State.SENDING
    driver.ledger.end_submit("two", State.UNKNOWN, Reason.NO_TASK, {})
    driver.enter("three")
    assert driver.admit("three", limits).state is State.REFUSED


@pytest.mark.parametrize(("seconds", "used"), [(0.01, 0), (0, 1), (-0.01, 1)], ids=["before", "at", "after"])
def test_the_day_begins_at_midnight_utc(driver: LedgerDriver, seconds: float, used: int) -> None:
    driver.sent("one")
    midnight = datetime.fromtimestamp(driver.job("one").now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    driver.put("one", sending_at=midnight.replace(tzinfo=None) - timedelta(seconds=seconds))
    assert driver.ledger.used_today() == used


def test_a_job_counts_for_the_day_of_its_sending(driver: LedgerDriver) -> None:
    driver.enter("one")
    driver.ago("one", queued_at=DAY - HOUR)
    driver.admit("one")
    assert driver.ledger.used_today() == 1


@pytest.mark.parametrize("payer", ["visitor", "nobody"])
def test_who_pays_alone_is_not_under_the_owners_cap(driver: LedgerDriver, payer: str) -> None:
    driver.enter("one", payer=payer)
    assert driver.admit("one", Limits(per_day=0)).state is State.SENDING
    assert driver.ledger.used_today() == 0


@pytest.mark.parametrize("limits", [Limits(concurrent=0), Limits(per_minute=0)], ids=["at once", "a minute"])
def test_a_simulated_job_has_no_limits_and_another_key_has_its_own(driver: LedgerDriver, limits: Limits) -> None:
    driver.enter("one", payer="nobody", key="")
    assert driver.admit("one", limits).state is State.SENDING
    driver.sent("two", key="another")
    driver.enter("three")
    assert driver.admit("three", Limits(concurrent=1, per_minute=1)).state is State.SENDING


def test_so_many_at_once_and_the_next_when_one_is_rendered(driver: LedgerDriver) -> None:
    limits = Limits(concurrent=2, per_minute=9)
    driver.rendering("one")
    driver.sent("two")
    driver.enter("three")
    waiting = driver.admit("three", limits)
    assert (waiting.state, waiting.waits) == ("queued", "Waiting: 2 clips are rendering with this key already.")
    assert driver.ledger.advance("one", "a", state=State.FETCHING, file_id="1")
    admitted = driver.admit("three", limits)
    assert (admitted.state, admitted.waits) == ("sending", "")


def test_what_a_dead_process_left_rendering_still_renders(driver: LedgerDriver) -> None:
    for ticket in ("one", "two"):
        driver.rendering(ticket)
        driver.ago(ticket, leased_until=1)
    driver.enter("three", worker="b")
    assert driver.admit("three", Limits(concurrent=2, per_minute=9), worker="b").state is State.QUEUED


def test_what_nobody_asked_for_in_a_day_blocks_nobody(driver: LedgerDriver) -> None:
    for ticket in ("one", "two"):
        driver.rendering(ticket)
        driver.ago(ticket, leased_until=DAY, queued_at=DAY + HOUR, sending_at=DAY + HOUR, rendering_at=DAY + HOUR)
    driver.enter("three", worker="b")
    assert driver.admit("three", Limits(concurrent=2, per_minute=9), worker="b").state is State.SENDING


def test_so_many_a_minute_and_the_next_when_it_is_over(driver: LedgerDriver) -> None:
    limits = Limits(concurrent=9, per_minute=2)
    for ticket in ("one", "two"):
        driver.sent(ticket)
        driver.ledger.end_submit(ticket, State.REFUSED, Reason.BALANCE, {})
    driver.enter("three")
    waiting = driver.admit("three", limits)
    assert (waiting.state, waiting.waits) == ("queued", "Waiting: 2 clips were sent with this key within a minute.")
    driver.ago("one", sending_at=61)
    assert driver.admit("three", limits).state is State.SENDING


def test_who_came_first_is_sent_first_unless_nobody_drives_it(driver: LedgerDriver) -> None:
    driver.enter("one")
    driver.enter("two")
    driver.ago("one", queued_at=9)
    waiting = driver.admit("two")
    assert (waiting.state, waiting.waits) == ("queued", "Waiting: 1 ahead of it.")
    driver.ago("one", leased_until=1)
    assert driver.admit("two").state is State.SENDING


def test_the_limits_hold_over_all_who_ask_at_the_same_moment(driver: LedgerDriver) -> None:
    other = Ledger(driver.url)
    limits = Limits(per_day=10, concurrent=99, per_minute=99)
    for number in range(40):
        driver.enter(f"{number}", worker=f"{number % 10}")

    def admit(worker: int) -> list[State]:
        ledger, states, waiting = (
            other if worker % 2 else driver.ledger,
            [],
            {f"{worker + ten}" for ten in (0, 10, 20, 30)},
        )
        # In the order of entering: so some are asked more than once.
        while waiting:
            found, waiting = ledger.admit(f"{worker}", waiting, limits)
            states += [job.state for job in found]
        return states

    with ThreadPoolExecutor(10) as threads:
        states = [state for found in threads.map(admit, range(10)) for state in found]
    other.close()
    assert sorted(states) == ["refused"] * 30 + ["sending"] * 10


def test_many_who_enter_the_same_request_at_the_same_moment_are_one_job(driver: LedgerDriver) -> None:
    with ThreadPoolExecutor(12) as threads:
        tickets = set(threads.map(lambda number: driver.enter(f"{number}", "request"), range(24)))
    assert len(tickets) == 1
    assert len(driver.ledger.jobs()) == 1


# The answer


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN])
def test_a_task_id_is_written_whoever_holds_the_job_and_heals_unknown(driver: LedgerDriver, state: State) -> None:
    driver.sent("one")
    driver.put("one", worker="b", state=state)
    driver.ledger.record_task("one", "a", "123456789012345678")
    job, row = driver.job("one"), driver.row("one")
    assert (job.state, job.task_id, job.charge, row["worker"]) == ("rendering", "123456789012345678", "spent", "a")
    assert (job.what, job.advice, job.ended, bool(row["rendering_at"])) == ("", "", None, True)
    assert driver.claim("c", ["key"]) == []


def test_a_late_task_id_does_not_bring_a_job_back_from_a_later_state(driver: LedgerDriver) -> None:
    driver.rendering("one")
    driver.put("one", state=State.DONE)
    driver.ledger.record_task("one", "a", "1")
    assert driver.job("one").state is State.DONE


def test_a_late_refusal_is_a_fact_too_but_not_against_a_task_id(driver: LedgerDriver) -> None:
    driver.sent("one")
    driver.put("one", state=State.UNKNOWN, worker="b")
    driver.ledger.end_submit("one", State.REFUSED, Reason.BALANCE, {})
    assert (driver.job("one").state, driver.job("one").what, driver.job("one").advice) == (
        "refused",
        "The account's balance is too low.",
        "Top up the account, then try again.",
    )
    driver.rendering("two")
    for state in (State.UNKNOWN, State.REFUSED):
        driver.ledger.end_submit("two", state, Reason.BALANCE, {})
        assert (driver.job("two").state, driver.job("two").what) == ("rendering", "")


def test_only_its_owner_moves_a_job_on(driver: LedgerDriver) -> None:
    driver.rendering("one")
    before = driver.row("one")
    assert not driver.ledger.advance("one", "b", state=State.FETCHING, file_id="1")
    assert driver.row("one") == before
    assert driver.ledger.advance("one", "a", state=State.FETCHING, file_id="1")
    assert driver.ledger.advance("one", "a", state=State.DONE, clip="clips/a.mp4")
    assert driver.job("one").ended
    assert not driver.ledger.advance("one", "a", status="Fail")


def test_the_stages_begin_when_they_are_seen_and_only_once(driver: LedgerDriver) -> None:
    driver.rendering("one")
    assert driver.ledger.advance("one", "a", status="Queueing")
    assert Stage.RENDER not in driver.job("one").began
    assert driver.ledger.advance("one", "a", status="Processing")
    began = driver.job("one").began[Stage.RENDER]
    assert driver.ledger.advance("one", "a", status="Processing again")
    assert driver.job("one").began[Stage.RENDER] == began
    assert list(driver.job("one").began) == [Stage.PREPARE, Stage.SEND, Stage.QUEUE, Stage.RENDER]


@pytest.mark.parametrize("state", State)
def test_only_what_is_queued_can_be_cancelled(driver: LedgerDriver, state: State) -> None:
    driver.enter("one")
    driver.put("one", state=state)
    driver.ledger.cancel("one", Reason.CANCELLED)
    assert driver.job("one").state is (State.CANCELLED if state is State.QUEUED else state)


# Leases


def test_what_is_held_is_not_taken_and_what_is_not_held_is(driver: LedgerDriver) -> None:
    driver.rendering("one")
    assert driver.claim("b", ["key"]) == []
    assert driver.claim("b", ["key"], only=["one"]) == []
    driver.ago("one", leased_until=0.1)
    assert driver.claim("b", ["key"]) == ["one"]
    assert driver.claim("c", ["key"]) == []
    assert not driver.ledger.advance("one", "a", status="Processing")
    assert driver.ledger.advance("one", "b", status="Processing")


def test_a_lease_is_renewed_by_its_owner_for_what_it_still_drives(driver: LedgerDriver) -> None:
    for ticket in ("one", "two", "three"):
        driver.rendering(ticket, worker="b" if ticket == "three" else "a")
        driver.ago(ticket, leased_until=1)
    changed = driver.job("one").changed
    driver.ledger.renew("a", ["one", "three"], {})
    left = (driver.row("one")["leased_until"], driver.row("two")["leased_until"])
    assert [str(moment) for moment in left] == sorted((str(moment) for moment in left), reverse=True)
    assert sorted(driver.claim("c", ["key"])) == ["three", "two"]
    assert driver.job("one").changed == changed


def test_a_lease_lasts_as_long_as_it_says(driver: LedgerDriver) -> None:
    driver.rendering("one")
    until = driver.row("one")["leased_until"]
    until = datetime.fromisoformat(until) if isinstance(until, str) else until
    assert until.replace(tzinfo=UTC).timestamp() - driver.job("one").now == pytest.approx(Pace().lease, abs=1)


def test_an_abandoned_payment_is_unknown_counts_and_is_never_sent_again(driver: LedgerDriver) -> None:
    driver.sent("one")
    driver.ago("one", leased_until=1)
    assert driver.claim("b", ["key"]) == []
    job = driver.job("one")
    assert (job.state, job.charge, bool(job.what), bool(job.advice), bool(job.ended)) == (
        "unknown", "unknown", True, True, True,
    )  # fmt: skip
    assert driver.ledger.used_today() == 1
    assert driver.ledger.admit("b", ["one"], WIDE) == NOBODY


@pytest.mark.parametrize("hours", [1, 30, 300])
def test_no_payment_stays_in_flight_however_long_nobody_was_there(driver: LedgerDriver, hours: int) -> None:
    driver.sent("one")
    driver.ago("one", leased_until=hours * HOUR, queued_at=hours * HOUR, sending_at=hours * HOUR)
    driver.enter("two")
    driver.ago("two", leased_until=hours * HOUR, queued_at=hours * HOUR)
    driver.claim("b", [])
    assert (driver.job("one").state, driver.job("two").state) == ("unknown", "cancelled")


def test_a_click_is_dropped_when_nobody_was_there_for_long_and_not_for_waiting_in_line(driver: LedgerDriver) -> None:
    for ticket in ("one", "two"):
        driver.enter(ticket)
        driver.ago(ticket, queued_at=2 * STALE_SECONDS, leased_until=1)
    driver.ago("two", leased_until=STALE_SECONDS + 1)
    assert driver.claim("b", ["key"]) == ["one"]
    assert (driver.job("two").state, driver.job("two").charge) == ("cancelled", "none")


@pytest.mark.parametrize("state", [State.RENDERING, State.FETCHING])
def test_after_a_day_a_job_is_left_alone_until_its_ticket_is_shown(driver: LedgerDriver, state: State) -> None:
    driver.rendering("one")
    driver.put("one", state=state)
    driver.ago("one", queued_at=GIVE_UP_SECONDS + 1, leased_until=1)
    assert driver.claim("b", ["key"]) == []
    assert driver.enter("two", "one") == "two"
    assert driver.claim("b", ["key"], only=["one"]) == ["one"]
    assert driver.ledger.advance("one", "b", status="Processing")


def test_without_its_key_a_job_says_so_and_goes_on_when_it_is_back(driver: LedgerDriver) -> None:
    driver.rendering("one")
    driver.ago("one", leased_until=1)
    assert driver.claim("b", ["another"]) == []
    assert driver.job("one").reason is Reason.WAITING_KEY
    changed = driver.job("one").changed
    assert driver.claim("b", ["another"]) == []
    assert driver.job("one").changed == changed
    assert driver.claim("c", ["another", "key"]) == ["one"]


def test_a_job_is_held_while_it_is_under_way_and_nobody_else_has_it(driver: LedgerDriver) -> None:
    driver.rendering("one")
    held = driver.ledger.held("one", "a")
    assert held
    assert held.ticket == "one"
    assert driver.ledger.held("one", "b") is None
    driver.ledger.record_clip("one", "clips/a.mp4")
    assert driver.ledger.held("one", "a") is None


def test_who_leaves_leaves_everything_to_the_next_at_once(driver: LedgerDriver) -> None:
    driver.rendering("one")
    driver.sent("two")
    driver.rendering("three", worker="b")
    driver.ledger.release("a")
    assert driver.job("two").state is State.UNKNOWN
    assert driver.claim("c", ["key"]) == ["one"]


def test_several_who_claim_at_the_same_moment_take_each_job_once(driver: LedgerDriver) -> None:
    tickets = [f"{number}" for number in range(20)]
    for ticket in tickets:
        driver.rendering(ticket)
        driver.ago(ticket, leased_until=1)
    start = threading.Barrier(6)

    def claim(worker: int) -> list[str]:
        start.wait()
        return driver.claim(f"{worker}", ["key"])

    with ThreadPoolExecutor(6) as threads:
        taken = [ticket for some in threads.map(claim, range(6)) for ticket in some]
    assert sorted(taken) == sorted(tickets)


# Looking, and forgetting


def test_a_look_shows_what_is_no_longer_as_it_was_seen_however_long_ago_it_changed(driver: LedgerDriver) -> None:
    for ticket in ("one", "two", "three"):
        driver.rendering(ticket)
    seen = [driver.job("one"), driver.job("two")]
    assert driver.ledger.changed(seen) == []
    for ticket in ("one", "three"):
        driver.put(ticket, state=State.FAILED)
    driver.ago("one", changed_at=3600)
    assert [(job.ticket, job.state) for job in driver.ledger.changed(seen)] == [("one", State.FAILED)]
    assert driver.ledger.changed([]) == []
    assert driver.ledger.job("One") is None
    assert driver.ledger.jobs()[0].ticket == "three"


def test_two_changes_within_one_tick_of_the_clock_are_told_apart(driver: LedgerDriver) -> None:
    driver.rendering("one")
    seen = driver.job("one")
    # The moment of the change stays.
    driver.put("one", state=State.FAILED)
    assert driver.job("one").changed == seen.changed
    assert [job.state for job in driver.ledger.changed([seen])] == [State.FAILED]


def test_what_is_old_keeps_its_row_and_loses_photo_clip_and_prompt(driver: LedgerDriver) -> None:
    for ticket in ("one", "two", "three"):
        driver.rendering(ticket, photo=f"photos/{ticket}.jpg")
    for ticket in ("one", "two"):
        driver.ledger.advance(ticket, "a", state=State.DONE, clip=f"clips/{ticket}.mp4")
    driver.ago("one", ended_at=2 * HOUR)
    assert driver.ledger.to_forget(1.0) == ["one"]
    assert driver.ledger.erase("one")
    assert driver.ledger.to_forget(1.0) == []
    forgotten, kept = driver.job("one"), driver.job("two")
    assert (forgotten.photo, forgotten.clip, forgotten.prompt) == ("", "", "")
    assert (forgotten.state, forgotten.task_id, forgotten.amount) == ("done", "task of one", 700)
    assert (kept.photo, kept.clip, kept.prompt) == ("photos/two.jpg", "clips/two.mp4", "She smiles.")
    assert driver.job("three").prompt


def test_what_is_deleted_keeps_its_row_and_only_what_has_ended_is(driver: LedgerDriver) -> None:
    driver.rendering("one", photo="photos/one.jpg")
    stems = ["photos/one", "clips/one", "clips/other"]
    assert not driver.ledger.erase("one")
    driver.ledger.record_clip("one", "clips/one.mp4")
    assert driver.ledger.unnamed(stems) == {"clips/other"}
    assert driver.ledger.erase("one")
    assert (driver.job("one").photo, driver.job("one").clip, driver.job("one").prompt) == ("", "", "")
    assert (driver.job("one").state, driver.job("one").amount, driver.job("one").deleted) == ("done", 700, True)
    # Until the files are gone, their names are kept: a deletion that was cut off is finished by the next.
    assert driver.ledger.erased("one") == driver.ledger.erased() == [("one", "photos/one.jpg", "clips/one.mp4")]
    assert driver.ledger.unnamed(stems) == {"clips/other"}
    driver.ledger.clear("one")
    assert driver.ledger.erased() == []
    assert not driver.ledger.erase("one")
    assert driver.ledger.unnamed(stems) == set(stems)


def test_a_late_answer_to_what_was_deleted_is_written_down_and_brings_nothing_back(driver: LedgerDriver) -> None:
    driver.sent("one")
    driver.ledger.end_submit("one", State.UNKNOWN, Reason.NO_TASK, {})
    assert driver.ledger.erase("one")
    driver.ledger.record_task("one", "a", "1")
    job = driver.job("one")
    assert (job.state, job.task_id, job.charge, job.prompt, job.what) == ("done", "1", "spent", "", "")
    assert driver.claim("b", ["key"]) == []


def test_a_whole_clip_is_written_down_whoever_holds_the_job_and_takes_no_others_place(driver: LedgerDriver) -> None:
    driver.rendering("one")
    driver.ago("one", leased_until=1)
    assert driver.claim("b", ["key"]) == ["one"]
    first = driver.ledger.record_clip("one", "clips/a.mp4")
    second = driver.ledger.record_clip("one", "clips/b.mp4")
    assert first
    assert second
    assert (first.state, first.clip, second.clip) == ("done", "clips/a.mp4", "clips/a.mp4")
    assert driver.ledger.record_clip("two", "clips/c.mp4") is None


def test_what_was_admitted_and_never_left_is_queued_again(driver: LedgerDriver) -> None:
    driver.sent("one")
    driver.ledger.withdraw("one")
    assert (driver.job("one").state, driver.ledger.used_today()) == ("queued", 0)
    assert driver.admit("one").state is State.SENDING
    driver.ledger.record_task("one", "a", "1")
    driver.ledger.withdraw("one")
    assert driver.job("one").state is State.RENDERING


def test_what_comes_too_late_is_not_entered(driver: LedgerDriver) -> None:
    assert not driver.enter("one", until=time.monotonic() - 0.01)
    assert driver.ledger.jobs() == []


@pytest.mark.parametrize(("payer", "state"), [("owner", "queued"), ("visitor", "queued"), ("nobody", "rendering")])
def test_so_many_may_wait_for_one_visitor_and_ten_times_that_in_all(
    driver: LedgerDriver, payer: str, state: str
) -> None:
    limits = Limits(waiting=2)
    values = {"payer": payer, "key": "" if payer == "nobody" else "key", "limits": limits}
    for number in range(20):
        driver.enter(f"{number}", visitor=f"{number // 2}", **values)
        driver.put(f"{number}", state=state)
    with pytest.raises(Busy, match="20 jobs are waiting here already"):
        driver.enter("other", visitor="other", **values)
    driver.put("19", state=State.DONE)
    with pytest.raises(Busy, match="2 jobs from your address are waiting already"):
        driver.enter("mine", visitor="0", **values)
    driver.put("0", state=State.DONE)
    assert driver.enter("mine", visitor="0", **values) == "mine"


def test_the_newest_sign_of_life_of_each_loop_is_kept_until_its_process_ends_in_order(driver: LedgerDriver) -> None:
    driver.ledger.renew("a", [], {"heartbeat": (3.0, ""), "sweep": (60.0, "OSError")})
    driver.ledger.renew("a", [], {"heartbeat": (2.0, ""), "sweep": (65.0, "OSError")})
    driver.ledger.renew("b", [], {"heartbeat": (1.0, "")})
    told = [(worker, name, round(ago), trouble) for worker, name, ago, trouble in driver.ledger.health()]
    assert told == [("a", "heartbeat", 2, ""), ("a", "sweep", 65, "OSError"), ("b", "heartbeat", 1, "")]
    driver.ledger.release("a")
    assert [worker for worker, *_ in driver.ledger.health()] == ["b"]


def test_a_state_that_another_version_wrote_is_told_as_unknown(driver: LedgerDriver) -> None:
    driver.enter("one")
    driver.put("one", state="dreaming")
    assert (driver.job("one").state, driver.job("one").charge) == ("unknown", "unknown")


def test_how_long_a_providers_clips_took_is_remembered(driver: LedgerDriver) -> None:
    for ticket, provider in (("one", "302.AI"), ("two", "302.AI"), ("other", "MiniMax")):
        driver.rendering(ticket, provider=provider)
        driver.ledger.advance(ticket, "a", state=State.DONE, clip="c")
    driver.ago("one", sending_at=100, ended_at=40)
    driver.ago("two", sending_at=50, ended_at=0)
    driver.rendering("still")
    assert sorted(round(seconds) for seconds in driver.ledger.durations("302.AI")) == [50, 60]


def test_a_key_is_in_use_as_long_as_a_job_needs_it(driver: LedgerDriver) -> None:
    driver.rendering("one", key="first")
    driver.rendering("two", key="second")
    driver.ledger.advance("two", "a", state=State.DONE)
    assert driver.ledger.keys_in_use() == {"first"}
    driver.ago("one", queued_at=2 * DAY)
    assert driver.ledger.keys_in_use() == {"first"}
    driver.ago("one", leased_until=60)
    assert driver.ledger.keys_in_use() == set()


def test_one_visitor_has_a_cap_of_an_own_at_the_owners_cost_alone(driver: LedgerDriver) -> None:
    limits = Limits(per_day=10, per_visitor=2, concurrent=1000, per_minute=1000)
    for number in range(3):
        driver.enter(f"a{number}", visitor="a")
    states = [driver.admit(f"a{number}", limits).state for number in range(3)]
    assert states == [State.SENDING, State.SENDING, State.REFUSED]
    assert "You have used today's 2 clips" in driver.job("a2").what
    driver.enter("b", visitor="b")
    driver.enter("own", visitor="a", payer="visitor")
    assert driver.admit("b", limits).state is State.SENDING
    assert driver.admit("own", limits).state is State.SENDING
    assert (driver.ledger.used_today(), driver.ledger.used_today("a"), driver.ledger.used_today("b")) == (3, 2, 1)


def test_a_fingerprint_is_the_same_in_every_process_and_says_nothing_alone(
    driver: LedgerDriver, tmp_path: Path
) -> None:
    again, elsewhere = Ledger(driver.url), Ledger(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    assert again.fingerprint("key", "x") == driver.ledger.fingerprint("key", "x")
    assert elsewhere.fingerprint("key", "x") != driver.ledger.fingerprint("key", "x")
    assert driver.ledger.fingerprint("key", "x") != driver.ledger.fingerprint("keyx", "")
    for ledger in (again, elsewhere):
        ledger.close()


# The tables


def test_a_column_that_is_missing_is_added_and_no_row_is_lost(driver: LedgerDriver) -> None:
    driver.rendering("one")
    with driver.engine.begin() as connection:
        for column in ("waits", "reason", "facts", "fetching_at", "amount"):
            connection.execute(sa.text(f"ALTER TABLE jobs DROP COLUMN {column}"))
    later = Ledger(driver.url)
    job = later.job("one")
    assert job
    assert (job.task_id, job.state, job.waits, job.reason, job.amount) == ("task of one", "rendering", "", None, None)
    assert later.advance("one", "a", state=State.FETCHING, file_id="1")
    later.close()


@pytest.mark.parametrize(
    ("state", "words", "said"),
    [
        (State.QUEUED, {"waits": "Waiting: 2 before it."}, ("Waiting: 2 before it.", "", "")),
        (State.RENDERING, {"waits": "It broke off."}, ("It broke off.", "", "")),
        (State.REFUSED, {"what": "No balance.", "advice": "Top up."}, ("", "No balance.", "Top up.")),
        (State.UNKNOWN, {"what": "No answer.", "advice": "Look."}, ("", "No answer.", "Look.")),
        (State.DONE, {"what": "Its file is gone."}, ("", "Its file is gone.", "")),
    ],
)
def test_a_row_from_before_reasons_keeps_its_words_until_it_moves_on(
    driver: LedgerDriver, state: State, words: dict[str, str], said: tuple[str, str, str]
) -> None:
    driver.enter("one")
    driver.put("one", state=state, **words)
    job = driver.job("one")
    assert (job.waits, job.what, job.advice) == said
    assert job.reason is None
    driver.ledger.advance("one", "a", Reason.FAULT)
    moved = driver.job("one")
    if state in UNDER_WAY:
        assert moved.waits == "Something went wrong on this server. We keep retrying."
        assert (driver.row("one")["what"], driver.row("one")["waits"]) == ("", "")
    else:
        assert moved.what == job.what


def test_a_payer_that_another_version_wrote_is_counted_as_the_owner(driver: LedgerDriver) -> None:
    driver.enter("one")
    driver.put("one", payer="uncle")
    assert driver.job("one").payer is Payer.OWNER


def test_a_reason_that_a_later_version_wrote_is_none(driver: LedgerDriver) -> None:
    driver.enter("one")
    driver.put("one", reason="moon", facts='{"phase": "full"}')
    assert (driver.job("one").reason, driver.job("one").waits) == (None, "")


def test_a_reason_and_its_facts_come_back_as_they_were_written(driver: LedgerDriver) -> None:
    driver.sent("one")
    said = {"said": "zu wenig Guthaben “ü”", "http": 402}
    job = driver.ledger.end_submit("one", State.REFUSED, Reason.BALANCE, said)
    assert job
    assert (job.reason, job.facts) == (Reason.BALANCE, said)
    assert job.what == "The account's balance is too low. It said: “zu wenig Guthaben “ü””."


def test_a_table_from_a_later_time_is_read_all_the_same(driver: LedgerDriver) -> None:
    driver.rendering("one")
    with driver.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE jobs ADD COLUMN mood TEXT"))
    later = Ledger(driver.url)
    assert [job.ticket for job in later.jobs()] == ["one"]
    later.close()


def test_several_processes_open_a_ledger_that_is_not_there_yet(url: str) -> None:
    start = threading.Barrier(6)

    def opened(_: int) -> Ledger:
        start.wait()
        return Ledger(url)

    with ThreadPoolExecutor(6) as threads:
        ledgers = list(threads.map(opened, range(6)))
    assert len({ledger.fingerprint("key") for ledger in ledgers}) == 1
    for ledger in ledgers:
        ledger.close()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM ledger")) == 1
    engine.dispose()


def test_a_person_reads_the_rows_in_plain_sqlite3(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    driver = LedgerDriver(f"sqlite:///{path}")
    driver.rendering("one", prompt="Sie lächelt.")
    driver.ledger.advance("one", "a", state=State.FETCHING, file_id="9")
    connection = sqlite3.connect(path)
    names = "state, service, provider, key, prompt, amount, task_id, file_id, worker"
    row = connection.execute(f"SELECT {names} FROM jobs").fetchone()
    assert row == ("fetching", "live", "302.AI", "key", "Sie lächelt.", 700, "task of one", "9", "a")
    names = "queued_at, sending_at, rendering_at, fetching_at, changed_at, leased_until"
    for moment in connection.execute(f"SELECT {names} FROM jobs").fetchone():
        assert abs(datetime.fromisoformat(moment) - datetime.now(UTC).replace(tzinfo=None)) < timedelta(seconds=60)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    driver.close()


def test_every_commit_is_on_the_disk(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    ledger.close()


CHANGES: dict[str, Callable[[Ledger], object]] = {
    "enter": lambda ledger: ledger.enter(
        "two", "a", "two", key="key", visitor="", limits=WIDE, until=time.monotonic() + 60
    ),
    "admit": lambda ledger: ledger.admit("a", ["one"], WIDE),
    "record_task": lambda ledger: ledger.record_task("one", "a", "1"),
    "advance": lambda ledger: ledger.advance("one", "a", status="x"),
    "cancel": lambda ledger: ledger.cancel("one", Reason.CANCELLED),
    "renew": lambda ledger: ledger.renew("a", ["one"], {"heartbeat": (0.0, "")}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_that_is_not_committed_never_was(driver: LedgerDriver, change: Callable[[Ledger], object]) -> None:
    driver.enter("one")
    before = driver.row("one")

    def broken(_: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, Exception("gone"))

    sa.event.listen(driver.ledger.database.engine, "commit", broken)
    with pytest.raises(DatabaseUnavailable):
        change(driver.ledger)
    sa.event.remove(driver.ledger.database.engine, "commit", broken)
    assert driver.row("one") == before
    assert len(driver.ledger.jobs()) == 1
