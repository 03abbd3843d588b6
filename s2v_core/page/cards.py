"""A job in words for people: what the page's card and the HTTP interface say of it."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from .. import providers, wire
from ..errors import Charge, InputRejected, Refused, S2VError, UnknownTicket
from ..jobs.model import UNDER_WAY, Job, Stage, State, TypicalDurations
from ..language import gettext, paragraph
from ..photo.prepare import is_link
from ..providers import price_words
from ..reasons import Reason
from .actions import AGAIN, OWN_KEY, Action, actions_for, said

# What to do, as a list of steps or as one sentence.
Ending = list[tuple[str, str | list[str]]]

_BROKEN = "Something went wrong on this server"
_TERMS = ("What happened", "Charged?", "Ticket", "What to do")
_TITLES = {
    State.QUEUED: "Preparing",
    State.SENDING: "Sending",
    State.FETCHING: "Saving",
    State.DONE: "Your clip is ready",
    State.FAILED: "The service gave up on this clip",
    State.REFUSED: "No clip, and nothing charged",
    State.UNKNOWN: "We do not know whether this was charged",
    State.CANCELLED: "Cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What the status card shows, as plain text: the page escapes it.

    `at` is when it was made, in epoch seconds: events overtake each other in the browser, which shows none that is
    older.
    """

    state: str
    title: str
    line: str = ""
    charge: Charge = Charge.NONE
    running: bool = False
    seconds: list[tuple[Stage, float]]
    stage: tuple[str, str] = ("", "")
    ending: Ending
    actions: list[Action]
    facts: list[str]
    ticket: str = ""
    task: str = ""
    gone: bool = False
    at: float = field(default_factory=time.time)


def card(state: str, title: str, **more: Any) -> dict[str, Any]:
    return asdict(
        Card(**{"seconds": [], "ending": [], "actions": [], "facts": [], "state": state, "title": title} | more)
    )


def minutes(seconds: float) -> str:
    """`2:40`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def takes(service: str, typical: TypicalDurations | None = None) -> str:
    """How long a clip takes, as far as anybody knows."""
    if typical:
        least, most = minutes(typical.quarter), minutes(typical.three_quarters)
        if least == most:
            return gettext("Usually {time}.", time=least)
        return gettext("Usually {least} to {most}.", least=least, most=most)
    return gettext("About ten seconds." if service == "simulator" else "One to four minutes, sometimes over ten.")


def made_by(job: Job) -> str:
    """Who made the clip, and with which model: `302.AI · S2V-01`."""
    return gettext("Simulator") if job.simulated else f"{job.provider} · {wire.MODEL}"


def seen(found: int, of: int) -> str:
    """In how many of the frames that were looked at there is a face."""
    some = "A face was found in {found} of {of} frames. Whether it is the same person is for you to judge."
    every = (
        "A face was found in all {of} frames that were looked at. Whether it is the same person is for you to judge."
    )
    return gettext(some if found < of else every, found=found, of=of)


def idle_card() -> dict[str, Any]:
    """The card before the first click. How long a clip takes depends on the service, which can still be chosen."""
    width, height = wire.CLIP_SIZE
    size = gettext("{width} × {height}, six seconds", width=width, height=height)
    line = gettext("Choose a portrait and say what happens.")
    return card("idle", gettext("Ready when you are"), line=line, stage=(gettext("Your clip plays here"), size))


def preparing_card() -> dict[str, Any]:
    """The card from a click until there is a job."""
    return card(State.QUEUED, gettext("Preparing"), running=True, seconds=[(Stage.PREPARE, 0.0)])


def lost_card() -> dict[str, Any]:
    """The ending of a click that was not answered, where the server knows the page and has no order of it."""
    what = gettext("Your click was not answered, and the server has no order from this page.")
    to_do = gettext("Click again. What you entered is still here.")
    return card(
        State.REFUSED, gettext("The order did not arrive"), ending=_uncharged(what, to_do), actions=said([AGAIN])
    )


def _uncharged(what: str, to_do: str) -> Ending:
    return _ending(what, Charge.NONE.sentence(), "", to_do)


def _ending(what: str, charged: str, ticket: str, to_do: str | list[str]) -> Ending:
    found = zip(_TERMS, (what, charged, ticket, to_do), strict=True)
    return [(gettext(term), text) for term, text in found if text]


def charged(job: Job) -> str:
    """What is known about the money, with the amount."""
    if job.amount == 0:
        return gettext("Nothing: the simulator is free.")
    return job.charge.sentence("" if job.amount is None else price_words(job.amount, job.provider), job.provider)


def refusals(made: int, refused: Mapping[str, S2VError]) -> dict[str, Any]:
    """What became of those scenes of a click that were not taken, and which stay in the field, as nothing was sent.

    None where all were taken.
    """
    why = [
        gettext("“{scene}”: {why}", scene=scene, why=paragraph(error.what, error.charge.sentence()))
        for scene, error in refused.items()
    ]
    clips = gettext("{made} of {all} clips are being made.", made=made, all=made + len(refused))
    left = gettext("What is left in the field was not taken.")
    again = [scene for scene, error in refused.items() if isinstance(error, Refused | InputRejected)]
    return {
        "said": paragraph(clips, *why, left) if refused else "",
        "scenes": "\n".join(again) if refused else None,
        "at": time.time(),
    }


def rejection_card(error: S2VError) -> dict[str, Any]:
    """The ending of a click from which no job came."""
    ending = _ending(error.what, error.charge.sentence(), "", error.advice or gettext("Correct it, then click again."))
    title = gettext("One thing to fix first" if isinstance(error, InputRejected) else _TITLES[State.REFUSED])
    return card(State.REFUSED, title, ending=ending, actions=said(actions_for(error.reason)))


def failure_card(error: S2VError, ticket: str = "") -> dict[str, Any]:
    """After anything but a click that pays: it says nothing new of the charge, and names the job that was on show."""
    title = gettext("No such ticket here" if isinstance(error, UnknownTicket) else "This did not work")
    return _beside(title, error.what, error.advice or gettext("Try again."), ticket)


def broken_card(ticket: str = "", *, paying: bool = False) -> dict[str, Any]:
    """After an error that nobody foresaw, in a click that pays or in another; the `ticket` of the job on show."""
    what = gettext("This server could not do that. Its log says why.")
    to_do = gettext("Try again. What you entered is still here.")
    if not paying:
        return _beside(gettext(_BROKEN), what, to_do, ticket)
    again = said([("Try again", "#generate")])
    return card(State.REFUSED, gettext(_BROKEN), ending=_uncharged(what, to_do), actions=again)


def _beside(title: str, what: str, to_do: str, ticket: str) -> dict[str, Any]:
    """What went wrong beside a job, which may be paid and goes on."""
    if not ticket:
        return card(State.REFUSED, title, ending=_ending(what, "", "", to_do))
    charged = gettext("Anything already under way continues; its ticket shows whether it was charged.")
    again = (gettext("Look again"), f'.clips [data-ticket="{ticket}"] .open')
    ending = _ending(what, charged, ticket, to_do)
    return card(State.UNKNOWN, title, charge=Charge.UNKNOWN, ending=ending, actions=[again], ticket=ticket, gone=True)


def sentence(error: Exception) -> str:
    """An error for a program."""
    broken = "Something went wrong on this server. This call charged nothing. Try it again."
    return str(error) if isinstance(error, S2VError) else gettext(broken)


def job_card(
    job: Job, *, typical: TypicalDurations | None = None, keep_hours: float | None = None, space: str = ""
) -> dict[str, Any]:
    """The card of a job as it stands. `space` is the Space's name, where this is one."""
    title, line, facts = gettext(_TITLES.get(job.state, "Rendering")), "", []
    ending: Ending = []
    actions: list[Action] = []
    cost = price_words(job.amount, job.provider)
    if job.state is State.DONE and job.clip:
        line = _simulated(job) if job.simulated else ""
        improved = gettext("improved by the service" if job.prompt_optimizer else "taken literally")
        taken = "" if job.simulated else improved
        # The page fills the empty one in with what the clip says of itself.
        took = minutes(job.seconds.get(Stage.RENDER) or job.seconds.get(Stage.QUEUE, 0))
        rendered = gettext("rendered in {time}", time=took)
        facts = [made_by(job), rendered, "", taken, cost, _served(job), _kept(job, keep_hours)]
    elif job.state in UNDER_WAY:
        title, line = _running(job, title, typical)
        facts = [made_by(job), *([job.status] if job.status else []), _spent(job)]
    else:
        title, ending, actions = _over(job, title, space)
    return card(
        job.state,
        title,
        line=line,
        charge=job.charge,
        running=job.state in UNDER_WAY,
        seconds=list(job.seconds.items()),
        ending=ending,
        actions=actions,
        facts=[fact for number, fact in enumerate(facts) if fact or number == 2],
        ticket=job.ticket,
        task="" if job.simulated else job.task_id,
        gone=not job.prompt,
    )


def _simulated(job: Job) -> str:
    """What a simulated clip is not."""
    moved = "Simulated: it moves {whose}. No model was asked, and nobody acts the sentence out."
    whose = gettext("a stand-in, as links are not opened here" if is_link(job.photo) else "your portrait")
    return gettext(moved, whose=whose)


def _spent(job: Job) -> str:
    """What a job under way has cost by now."""
    if job.amount == 0 and job.simulated:
        return price_words(0, job.provider)
    if job.charge is not Charge.SPENT:
        return gettext("Nothing spent yet")
    if job.amount is None:
        return gettext("Paid" if job.task_id else "Counted as spent")
    price = price_words(job.amount, job.provider)
    return gettext("Paid: {price}" if job.task_id else "Counted as spent: {price}", price=price)


def background_card(job: Job) -> dict[str, Any]:
    """The card when a job goes on without anybody watching it: ready for the next."""
    paid = gettext("It is paid." if job.task_id else "It counts as spent.") if job.charge is not Charge.NONE else ""
    line = paragraph(paid, gettext("It goes on and will appear under “Your clips”."))
    return idle_card() | {"title": gettext("Running in the background"), "line": line}


def as_json(job: Job) -> dict[str, Any]:
    """A job for a program."""
    names = ("ticket", "state", "charge", "service", "provider", "status", "task_id")
    facts = {name: getattr(job, name) for name in names}
    seen = job_card(job)
    advice = _without_file(job) if _lost(job) else job.advice
    message = paragraph(job.what, advice) or seen["line"] or seen["title"]
    facts |= {"reason": job.reason or "", "message": message, "elapsed": round(sum(job.seconds.values()), 1)}
    return facts


def summary(job: Job) -> dict[str, Any]:
    """A job as one of many; `at` in epoch seconds, `seconds` since it began."""
    if job.state is State.DONE:
        made = gettext("simulated") if job.simulated else ""
        state = made if job.clip else gettext("file missing" if _lost(job) else "deleted")
    else:
        state = gettext("charge unknown" if job.state is State.UNKNOWN else job.state)
    return {
        "ticket": job.ticket, "prompt": job.prompt or gettext("Deleted here"), "at": job.queued, "now": job.now,
        "state": state, "ready": job.state is State.DONE and bool(job.clip),
        "seconds": sum(job.seconds.values()), "running": job.state in UNDER_WAY, "plays": bool(job.clip),
        "stages": len(job.seconds),
        "price": "" if job.amount is None else price_words(job.amount, job.provider),
    }  # fmt: skip


def _running(job: Job, title: str, typical: TypicalDurations | None) -> tuple[str, str]:
    if job.state is State.RENDERING:
        title = gettext("Rendering" if Stage.RENDER in job.began else "Waiting in the queue")
    since = job.now - job.began.get(Stage.SEND, job.now)
    if job.overdue:
        title, line = gettext("Overdue"), gettext("It has taken over 20 minutes. We keep asking.")
    elif typical and since > typical.nine_tenths:
        line = gettext("Slower than 9 in 10 clips here so far.")
    else:
        line = takes(job.service, typical)
    back = gettext("You can close this tab; the clip will appear under “Your clips”.")
    return title, job.waits or paragraph(line, back)


def _over(job: Job, title: str, space: str) -> tuple[str, Ending, list[Action]]:
    _, charges = providers.console(job.provider)
    what, advice = job.what, job.advice or gettext("Make another whenever you like.")
    to_do: str | list[str] = advice
    actions = said(actions_for(job.reason))
    (again,) = said([AGAIN])
    if _lost(job):
        title, to_do = gettext("The clip is not here"), _without_file(job)
    elif job.state is State.DONE:
        title, what, to_do = gettext("Deleted"), gettext("The clip was deleted here."), gettext("Make another.")
    elif job.reason is Reason.KEY and job.state is State.REFUSED:
        to_do, actions = key_steps(job.provider, space, own=job.payer == "visitor")
    elif job.state is State.UNKNOWN and job.charge is Charge.UNKNOWN:
        sent = datetime.fromtimestamp(job.began.get(Stage.SEND, job.queued), UTC)
        look = "Look at {provider}'s usage page. If it shows no call at {time} UTC, make the clip again."
        to_do = gettext(look, provider=job.provider, time=f"{sent:%H:%M}")
        actions = [(gettext("Open {provider} usage", provider=job.provider), charges)] if charges else []
        more = "Make it again; may cost more" if job.amount is None else "Make it again; may cost {price} more"
        again = (gettext(more, price=price_words(job.amount, job.provider)), "#generate")
    elif actions:
        return title, _four(what, job, to_do), actions
    if job.state is State.UNKNOWN and job.charge is Charge.NONE:
        title = gettext("The service did not answer")
    return title, _four(what, job, to_do), [*actions, again]


def _four(what: str, job: Job, to_do: str | list[str]) -> Ending:
    return _ending(what, charged(job), job.ticket, to_do)


def _lost(job: Job) -> bool:
    """Whether the clip's file is gone though nobody deleted it."""
    return job.state is State.DONE and bool(job.what) and not (job.clip or job.deleted)


def _without_file(job: Job) -> str:
    if job.amount == 0:
        return gettext("Make it again: that is free.")
    ask = "Ask whoever runs this page to restore the file."
    if job.task_id:
        ask = "Ask whoever runs this page to restore the file, or {provider} for the result of task {task}."
    asked = gettext(ask, provider=job.provider, task=job.task_id)
    return paragraph(asked, gettext("Making it again costs once more."))


def key_steps(provider: str, space: str, *, own: bool) -> tuple[list[str], list[Action]]:
    """The three steps that bring a key that works, and where they lead."""
    keys, _ = providers.console(provider)
    where = "Add it to this Space's settings as the secret S2V_API_KEY." if space else (
        "Start the page with it: export S2V_API_KEY=…"
    )  # fmt: skip
    copy = "Copy a {provider} key from its page of keys. A key from another provider or region does not work."
    steps = [
        gettext(copy, provider=provider),
        gettext("Enter it under “Use your key”." if own else where),
        gettext("Make the clip again: nothing was charged."),
    ]
    actions = [(gettext("Get a {provider} key", provider=provider), keys)] if keys else []
    if space and not own:
        actions.append((gettext("This Space's settings"), f"https://huggingface.co/spaces/{space}/settings"))
    return steps, [*actions, *said([OWN_KEY])]


def _served(job: Job) -> str:
    """A clip that could not be marked, or may not be, says so."""
    return gettext("served as it came") if job.came_sha256 and job.came_sha256 == job.served_sha256 else ""


def _kept(job: Job, keep_hours: float | None) -> str:
    if keep_hours is None or job.ended is None:
        return ""
    left = max(0, int(job.ended + keep_hours * 3600 - job.now)) // 60
    return gettext("will be deleted here in {hours} h {minutes} min", hours=left // 60, minutes=left % 60)
