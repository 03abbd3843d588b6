"""What the tools for assistants are, as they are described to them, and what is said of a job there."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from ..errors import Charge, InputRejected
from ..jobs.model import UNDER_WAY, Job, Stage, State, TypicalDurations
from ..reasons import Reason
from ..text import PROMPT_CHARACTERS
from . import cards

INSTRUCTIONS = (
    "submit makes a six-second clip of one portrait and one sentence, and spends the money that its title names: ask "
    "the person first. Never call it again for the same wish: keep the ticket, and call status after "
    'poll_after_seconds until that is 0; then call clip. Where charged is "unknown", the clip may have been paid: do '
    "not submit it again, but tell the person to look at the provider's usage page."
)
_CHARGED = {Charge.NONE: "no", Charge.SPENT: "yes"}
_JOB = {
    "ticket": {"type": "string", "description": "for status and clip; whoever has it can see the clip"},
    "state": {"type": "string", "enum": [*State]},
    "charged": {"type": "string", "enum": ["no", "yes", "unknown"], "description": "as far as it is known by now"},
    "message": {"type": "string", "description": "what happened, whether it was charged, what to do"},
    "poll_after_seconds": {"type": "integer", "description": "when to call status next; 0 once the job has ended"},
}
_TICKET = {"ticket": {"type": "string", "description": "from submit"}}
_WARNINGS = {"type": "array", "items": {"type": "string"}, "description": "what may spoil a clip of this photo"}
_CLIP = {"uri": {"type": "string"}, "size": {"type": "integer"}, "mimeType": {"type": "string"}}
_READS = {"readOnlyHint": True, "openWorldHint": False}
# The same wish is one job only while that is under way; after its end, the same call makes and charges another.
_SPENDS = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True}


def described(*, title: str, maker: str, promise: str) -> list[dict[str, Any]]:
    """The tools as the protocol has them; `title` names the price, and the `promise` is what consent says."""
    photo = (
        "a portrait with one clear human face: a data URL of a JPEG, PNG or WebP of up to 2 MB, or a public https "
        "link, which is passed on unopened"
    )
    submit = {
        "photo": {"type": "string", "description": photo},
        "prompt": {"type": "string", "maxLength": PROMPT_CHARACTERS, "description": "what the person does, and where"},
        "prompt_optimizer": {"type": "boolean", "default": True, "description": "whether the prompt may be rewritten"},
        "consent": {"type": "boolean", "default": False, "description": f"the person's own word: “{promise}”"},
    }
    return [
        {
            "name": "submit", "title": title, "annotations": _SPENDS,
            "description": f"Makes a clip with {maker}. Returns a ticket at once.",
            "inputSchema": _object(submit, "photo", "prompt"), "outputSchema": _object(_JOB | {"warnings": _WARNINGS}),
        },
        {
            "name": "status", "title": "How a clip is doing", "annotations": _READS,
            "description": "Says where a job stands and whether it was charged. Free.",
            "inputSchema": _object(_TICKET), "outputSchema": _object(_JOB),
        },
        {
            "name": "clip", "title": "A finished clip", "annotations": _READS,
            "description": "Returns a link to the MP4, and its poster. Free.",
            "inputSchema": _object(_TICKET), "outputSchema": _object(_CLIP),
        },
    ]  # fmt: skip


def checked(
    name: str, arguments: Mapping[str, Any] | None, described: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """The arguments of a call. Raises `InputRejected` where one is of no use."""
    takes = {each["name"]: each["inputSchema"]["properties"] for each in described}
    if name not in takes:
        raise InputRejected(Reason.NO_TOOL, {"tools": ", ".join(takes)})
    if (arguments or {}).keys() - takes[name].keys():
        raise InputRejected(Reason.NO_ARGUMENT, {"tool": name, "names": ", ".join(takes[name])})
    return arguments or {}


def facts(job: Job, typical: TypicalDurations | None) -> dict[str, Any]:
    """What submit and status tell of a job."""
    charged = _CHARGED.get(job.charge, "unknown")
    told = {"ticket": job.ticket, "state": job.state, "charged": charged, "message": words(job, typical)}
    return told | {"poll_after_seconds": _poll_after(job, typical)}


def words(job: Job, typical: TypicalDurations | None = None) -> str:
    """What happened to a job, whether it was charged, and what to do."""
    card, line = cards.job_card(job), ""
    charged = "The simulator is free." if job.amount == 0 else cards.charged(job)
    if card["ending"]:
        what, _, _, to_do = (text for _, text in card["ending"])
        # Steps lead through the page.
        return " ".join([what, charged, to_do if isinstance(to_do, str) else job.advice])
    if job.state not in UNDER_WAY:
        line = card["line"]
    elif not job.overdue:
        line = cards.takes(job.service, typical)
    return " ".join(filter(None, [f"{card['title']}.", job.waits or line, charged]))


def _poll_after(job: Job, typical: TypicalDurations | None) -> int:
    """When a quarter of the clips here were ready, and then every few seconds: a look costs its caller something."""
    if job.state not in UNDER_WAY:
        return 0
    usual, least = (8, 5) if job.simulated else (60, 15)
    since = job.now - job.began.get(Stage.SEND, job.now)
    return max(least, ceil((typical.quarter if typical else usual) - since))


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required or properties)}
