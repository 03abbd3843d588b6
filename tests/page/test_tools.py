"""What an assistant is told of a job: never more than is known, and when to look again."""

from typing import Any

import pytest

from s2v_core.jobs.model import Payer, State, TypicalDurations
from s2v_core.page import tools
from s2v_core.reasons import Reason

from .test_cards import BEGAN, job

SIMULATED = {"payer": Payer.NOBODY, "amount": 0, "service": "simulator", "provider": "Simulator"}
# The tenth part took longer than six minutes.
TYPICAL = TypicalDurations(20, 120.0, 200.0, 360.0)


@pytest.mark.parametrize(
    ("state", "reason", "charged", "says"),
    [
        (State.QUEUED, None, "no", "Preparing. Usually 2:00 to 3:20. Nothing was charged."),
        (State.QUEUED, Reason.WAITING_LINE, "no", "Preparing. Waiting: 3 ahead of it. Nothing was charged."),
        (State.SENDING, None, "yes", "Sending. Usually 2:00 to 3:20. It is paid: 0.7 PTC."),
        (State.RENDERING, None, "yes", "Rendering. Usually 2:00 to 3:20. It is paid: 0.7 PTC."),
        (State.FETCHING, None, "yes", "Saving. Usually 2:00 to 3:20. It is paid: 0.7 PTC."),
        (State.REFUSED, Reason.BALANCE, "no", "balance is too low. Nothing was charged. Top up the account, then"),
        (State.REFUSED, Reason.KEY, "no", "this key. Nothing was charged. Check that the key is complete"),
        (State.CANCELLED, Reason.CANCELLED, "no", "before anything was sent. Nothing was charged."),
        (State.FAILED, Reason.GAVE_UP, "unknown", "gave up on this clip. 302.AI decides; it may charge 0.7 PTC."),
        (State.UNKNOWN, Reason.STOPPED_AFTER, "unknown", "was not sent again. Look at 302.AI's usage page. If it"),
    ],
)  # fmt: skip
def test_a_job_is_told_with_its_charge_and_the_next_step(
    state: State, reason: Reason | None, charged: str, says: str
) -> None:
    told = tools.facts(job(state, reason=reason, facts={"count": 3}), TYPICAL)
    assert (told["state"], told["charged"]) == (state, charged)
    assert says in told["message"]


def test_a_finished_clip_is_told_as_such_and_a_deleted_one_as_deleted() -> None:
    done = job(State.DONE, reason=None, clip="clips/a.mp4", ended=1090.0)
    assert tools.words(done) == "Your clip is ready. It is paid: 0.7 PTC."
    simulated = job(State.DONE, reason=None, clip="clips/a.mp4", ended=1090.0, **SIMULATED)
    assert tools.words(simulated).startswith(
        "Your clip is ready. Simulated: it moves your portrait. No model was asked"
    )
    assert tools.words(simulated).endswith("The simulator is free.")
    gone = job(State.DONE, reason=None, clip="", prompt="", ended=1090.0, deleted=True)
    assert tools.words(gone).startswith("The clip was deleted here. It is paid: 0.7 PTC.")


@pytest.mark.parametrize(
    ("now", "typical", "more", "seconds"),
    [
        (1001.0, TYPICAL, {}, 120),
        (1101.5, TYPICAL, {}, 20),
        (1121.0, TYPICAL, {}, 15),
        (2001.0, TYPICAL, {}, 15),
        (1001.0, None, {}, 60),
        (1001.0, None, SIMULATED, 8),
        (1030.0, None, SIMULATED, 5),
    ],
)
def test_the_next_look_is_when_a_quarter_of_the_clips_here_were_ready(
    now: float, typical: TypicalDurations | None, more: dict[str, Any], seconds: int
) -> None:
    assert tools.facts(job(State.RENDERING, now=now, **more), typical)["poll_after_seconds"] == seconds


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.UNKNOWN, State.REFUSED, State.CANCELLED])
def test_what_has_ended_needs_no_look(state: State) -> None:
    assert tools.facts(job(state, began=BEGAN, ended=1090.0), TYPICAL)["poll_after_seconds"] == 0
