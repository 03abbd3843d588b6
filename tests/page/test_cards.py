"""What a person reads of a job: never more than is known."""

from typing import Any

import pytest

from s2v_core.errors import (
    Charge,
    ChargeUnknown,
    DatabaseUnavailable,
    ImageRejected,
    InputRejected,
    PromptRejected,
    RatioRejected,
    UnknownTicket,
)
from s2v_core.jobs.model import UNDER_WAY, Job, Payer, Stage, State, TypicalDurations
from s2v_core.page import cards
from s2v_core.reasons import Reason, what_to_do

BEGAN = {Stage.PREPARE: 1000.0, Stage.SEND: 1001.0, Stage.QUEUE: 1003.0, Stage.RENDER: 1010.0}


def job(state: State, **values: Any) -> Job:
    usual: dict[str, Any] = {
        "ticket": "s2v_x", "state": state, "service": "live", "provider": "302.AI", "key": "f", "payer": "owner",
        "visitor": "", "photo": "photos/a.jpg", "prompt": "She smiles.", "prompt_optimizer": True, "amount": 700,
        "status": "", "task_id": "", "file_id": "", "clip": "",
        "reason": None if state in UNDER_WAY else Reason.FAULT, "facts": {},
        "began": BEGAN, "ended": None, "changed": 0.0, "now": 1100.0, "deleted": False,
    }  # fmt: skip
    return Job(**usual | values)


ENDS = (State.REFUSED, State.UNKNOWN, State.FAILED, State.CANCELLED)


@pytest.mark.parametrize("state", ENDS)
def test_every_ending_has_four_parts_and_a_button(state: State) -> None:
    card = cards.job_card(job(state, ended=1050.0))
    assert [term for term, text in card["ending"] if text] == ["What happened", "Charged?", "Ticket", "What to do"]
    assert card["actions"]
    assert not card["running"]


@pytest.mark.parametrize(
    ("state", "amount", "says"),
    [
        (State.REFUSED, 700, "Nothing was charged."),
        (State.CANCELLED, 700, "Nothing was charged."),
        (State.UNKNOWN, 700, "0.7 PTC may have been charged: it counts as spent and was not sent again."),
        (State.UNKNOWN, None, "It may have been charged: it counts as spent"),
        (State.FAILED, 700, "302.AI decides; it may charge 0.7 PTC."),
        (State.UNKNOWN, 0, "Nothing: the simulator is free."),
        (State.DONE, 700, "It is paid: 0.7 PTC."),
        (State.DONE, None, "It is paid."),
    ],
)
def test_the_charge_is_told_with_its_amount(state: State, amount: int | None, says: str) -> None:
    assert says in cards.charged(job(state, amount=amount))


@pytest.mark.parametrize(
    ("state", "reason", "buttons"),
    [
        (State.REFUSED, Reason.SENSITIVE_INPUT, ["Change the scene", "Choose another portrait"]),
        (State.FAILED, Reason.SENSITIVE_CLIP, ["Change the scene", "Choose another portrait"]),
        (State.FAILED, Reason.GAVE_UP, ["Change the scene", "Make it again"]),
        (State.REFUSED, Reason.YOUR_DAY_USED, ["Use your key", "Simulate it, free"]),
        (State.REFUSED, Reason.BALANCE, ["Use your key", "Simulate it, free"]),
        (State.REFUSED, Reason.BUSY, ["Make it again"]),
        (State.CANCELLED, Reason.CANCELLED, ["Make it again"]),
    ],
)
def test_the_buttons_of_an_ending_do_what_it_advises(state: State, reason: Reason, buttons: list[str]) -> None:
    card = cards.job_card(job(state, ended=1050.0, reason=reason, facts={"count": 3}))
    assert [label for label, _ in card["actions"]] == buttons


def test_an_unclear_charge_leads_to_the_usage_page_with_the_time_and_the_price_of_another() -> None:
    card = cards.job_card(job(State.UNKNOWN, ended=1050.0))
    assert card["title"] == "We do not know whether this was charged"
    assert "no call at 00:16 UTC" in dict(card["ending"])["What to do"]
    assert card["actions"] == [
        ("Open 302.AI usage", "https://dash.302.ai/charge"),
        ("Make it again; may cost 0.7 PTC more", "#generate"),
    ]


@pytest.mark.parametrize(
    ("space", "payer", "links"),
    [
        ("", "owner", ["https://dash.302.ai/apis/list"]),
        ("a/b", "owner", ["https://dash.302.ai/apis/list", "https://huggingface.co/spaces/a/b/settings"]),
        ("a/b", "visitor", ["https://dash.302.ai/apis/list"]),
    ],
)
def test_a_key_that_is_not_accepted_gets_the_three_steps_that_fix_it(space: str, payer: str, links: list[str]) -> None:
    card = cards.job_card(job(State.REFUSED, reason=Reason.KEY, facts={"said": "no"}, payer=payer), space=space)
    assert len(dict(card["ending"])["What to do"]) == 3
    assert [target for _, target in card["actions"] if target.startswith("https")] == links


def usual(count: int = 37) -> TypicalDurations | None:
    return TypicalDurations.of([160.0, 200.0, 250.0, 400.0][: min(count, 4)] * (count // 4) + [220.0] * (count % 4))


def test_under_five_clips_nothing_is_said_of_how_long_they_take() -> None:
    assert TypicalDurations.of([1.0] * 4) is None
    assert TypicalDurations.of([1.0] * 5) == TypicalDurations(5, 1.0, 1.0, 1.0)


def test_the_band_is_told_and_past_it_that_this_one_is_slow() -> None:
    band = TypicalDurations(37, 160.0, 250.0, 600.0)
    rendering = job(State.RENDERING, task_id="1", status="Processing")
    assert "Usually 2:40 to 4:10." in cards.job_card(rendering, typical=band)["line"]
    late = job(State.RENDERING, task_id="1", status="Processing", now=1001.0 + 601)
    assert "Slower than 9 in 10 clips here so far." in cards.job_card(late, typical=band)["line"]
    assert "Slower" not in cards.job_card(late)["line"]
    assert "%" not in str(cards.job_card(late, typical=band))


def test_an_overdue_job_is_still_asked_for_and_no_failure() -> None:
    card = cards.job_card(job(State.RENDERING, task_id="1", now=1003.0 + 1201))
    assert (card["title"], card["running"]) == ("Overdue", True)
    assert "We keep asking" in card["line"]


def test_what_a_job_waits_for_is_said_before_all_else() -> None:
    waiting = job(State.QUEUED, reason=Reason.WAITING_LINE, facts={"count": 2})
    assert cards.job_card(waiting, typical=usual())["line"] == "Waiting: 2 ahead of it."


@pytest.mark.parametrize(
    ("state", "amount", "task", "says"),
    [
        (State.QUEUED, 700, "", "Nothing spent yet"),
        (State.SENDING, 700, "", "Counted as spent: 0.7 PTC"),
        (State.RENDERING, 700, "1", "Paid: 0.7 PTC"),
        (State.RENDERING, None, "1", "Paid"),
    ],
)
def test_the_card_never_says_more_of_the_money_than_is_known(
    state: State, amount: int | None, task: str, says: str
) -> None:
    assert cards.job_card(job(state, amount=amount, task_id=task))["facts"][-1] == says


def test_a_ready_clip_says_how_it_was_made_and_how_long_it_stays() -> None:
    done = job(State.DONE, clip="clips/a.mp4", task_id="1", ended=1100.0, now=1160.0)
    facts = cards.job_card(done, keep_hours=24)["facts"]
    assert facts == [
        "302.AI · S2V-01",
        "rendered in 1:30",
        "",
        "improved by the service",
        "0.7 PTC",
        "will be deleted here in 23 h 59 min",
    ]
    assert cards.job_card(job(State.DONE, deleted=True, ended=1100.0))["ending"][0][1] == "The clip was deleted here."


@pytest.mark.parametrize(
    ("error", "buttons"),
    [
        (PromptRejected(Reason.PROMPT_EMPTY), ["Write the scene"]),
        (RatioRejected(Reason.PHOTO_RATIO, {"width": 9, "height": 1, "across": 9, "down": 1}), ["Crop to fit"]),
        (ImageRejected(Reason.NO_PHOTO), ["Choose a portrait"]),
        (ImageRejected(Reason.PHOTO_EMPTY), ["Choose another portrait"]),
        (InputRejected(Reason.NO_CONSENT), ["Confirm"]),
        (InputRejected("No."), []),
    ],
    ids=["prompt", "ratio", "no portrait", "portrait", "consent", "other"],
)
def test_a_click_without_a_job_says_what_to_put_right(error: InputRejected, buttons: list[str]) -> None:
    card = cards.rejection_card(error)
    assert (card["charge"], card["ticket"]) == (Charge.NONE, "")
    assert [label for label, _ in card["actions"]] == buttons
    assert [term for term, _ in card["ending"]] == ["What happened", "Charged?", "What to do"]


def test_an_error_that_nobody_foresaw_is_told_with_what_is_known_of_the_charge() -> None:
    before, after = cards.broken_card(paying=True), cards.broken_card("s2v_x")
    assert (before["charge"], after["charge"]) == (Charge.NONE, Charge.UNKNOWN)
    assert dict(before["ending"])["Charged?"] == "Nothing was charged."
    assert [term for term, _ in after["ending"]] == ["What happened", "Charged?", "Ticket", "What to do"]
    assert before["actions"]
    assert after["actions"] == [("Look again", '.clips [data-ticket="s2v_x"] .open')]


def test_a_refusal_that_knows_more_of_the_charge_says_it() -> None:
    assert (
        dict(cards.rejection_card(ChargeUnknown("The answer was lost."))["ending"])["Charged?"]
        == Charge.UNKNOWN.sentence()
    )


@pytest.mark.parametrize(
    ("amount", "says"),
    [(700, "302.AI for the result of task 17. Making it again costs once more."), (0, "Make it again: that is free.")],
)
def test_a_clip_without_its_file_keeps_its_charge_and_says_who_can_help(amount: int, says: str) -> None:
    lost = job(State.DONE, task_id="17", amount=amount, reason=Reason.CLIP_GONE)
    card = cards.job_card(lost)
    assert [term for term, _ in card["ending"]] == ["What happened", "Charged?", "Ticket", "What to do"]
    assert says in dict(card["ending"])["What to do"]
    assert card["charge"] == (Charge.SPENT if amount else Charge.NONE)
    assert cards.as_json(lost)["message"].startswith("The clip's file is no longer here. ")
    assert says in cards.as_json(lost)["message"]
    assert (card["facts"], card["actions"]) == ([], [("Make it again", "#generate")])


@pytest.mark.parametrize(
    ("state", "values", "says"),
    [
        (State.DONE, {"clip": "c"}, ""),
        (State.DONE, {"clip": "c", "service": "simulator", "payer": Payer.NOBODY}, "simulated"),
        (State.DONE, {"deleted": True}, "deleted"),
        (State.DONE, {}, "file missing"),
        (State.UNKNOWN, {}, "charge unknown"),
        (State.RENDERING, {}, "rendering"),
    ],
)
def test_a_card_names_the_state_where_there_is_something_to_know(
    state: State, values: dict[str, str], says: str
) -> None:
    assert cards.summary(job(state, **values))["state"] == says


def test_a_program_is_told_the_reason_by_its_name() -> None:
    assert cards.as_json(job(State.REFUSED, reason=Reason.BALANCE))["reason"] == "balance"
    assert cards.as_json(job(State.DONE, reason=None))["reason"] == ""


def test_what_went_wrong_beside_a_job_never_says_that_nothing_was_charged() -> None:
    for card in (cards.failure_card(DatabaseUnavailable("a disk"), "s2v_x"), cards.broken_card("s2v_x")):
        assert [term for term, _ in card["ending"]] == ["What happened", "Charged?", "Ticket", "What to do"]
        assert (card["charge"], card["ticket"]) == (Charge.UNKNOWN, "s2v_x")
        assert "Nothing" not in dict(card["ending"])["Charged?"]
    for card in (cards.failure_card(UnknownTicket()), cards.broken_card()):
        assert [term for term, _ in card["ending"]] == ["What happened", "What to do"]
        assert card["actions"] == []


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    assert isinstance(what_to_do(reason), str)
