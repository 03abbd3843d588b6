"""What a job is: where it stands, what it may have cost, how long it took."""

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import quantiles

from ..errors import Charge, ChargeUnknown, Failed, Refused
from ..language import gettext, paragraph
from ..reasons import Facts, Reason, what_happened, what_to_do
from ..settings import Settings
from ..wire import DEADLINE_SECONDS

_USUAL = Settings()
# After so long a job is asked for no more by itself.
GIVE_UP_SECONDS = 24 * 3600


class State(StrEnum):
    """Where a job stands. A late answer heals `unknown`; the other ends are ends."""

    QUEUED = "queued"
    SENDING = "sending"
    RENDERING = "rendering"
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"

    @classmethod
    def _missing_(cls, value: object) -> "State":
        # Written by another version: what it may have cost is not known here.
        return cls.UNKNOWN


UNDER_WAY = (State.QUEUED, State.SENDING, State.RENDERING, State.FETCHING)
NOT_SPENT = (State.QUEUED, State.REFUSED, State.CANCELLED)
_CHARGES = {State.UNKNOWN: Charge.UNKNOWN, State.FAILED: Charge.PROVIDER} | dict.fromkeys(NOT_SPENT, Charge.NONE)

# Where the reason gives none.
_ADVICE = {State.REFUSED: Refused.usual, State.UNKNOWN: ChargeUnknown.usual, State.FAILED: Failed.usual}


class Payer(StrEnum):
    """Nobody pays for a simulated job; the owner is the person who runs this."""

    NOBODY = "nobody"
    OWNER = "owner"
    VISITOR = "visitor"

    @classmethod
    def _missing_(cls, value: object) -> "Payer":
        # Written by another version.
        return cls.OWNER


class Stage(StrEnum):
    """The parts of a job's time, as a person sees them."""

    PREPARE = "Prepare"
    SEND = "Send"
    QUEUE = "Queue"
    RENDER = "Render"
    SAVE = "Save"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be sent with one key, and how many jobs of one visitor may wait for it.

    The clips a day, by UTC days, are those that the owner pays for. Of all visitors ten times `waiting` may wait.
    """

    per_day: int = _USUAL.clips_per_day
    per_visitor: int | None = _USUAL.clips_per_visitor
    concurrent: int = _USUAL.concurrent
    per_minute: int = _USUAL.per_minute
    waiting: int = _USUAL.waiting

    @property
    def waiting_in_all(self) -> int:
        return 10 * self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: how long a process holds a job without a sign of life, and how often each loop runs.

    `enter` is how long a click may wait for the ledger, `last_answer` how long a stop waits for payments in flight.
    """

    lease: float = 20.0
    heartbeat: float = 5.0
    claim: float = 0.8
    admission: float = 1.0
    look: float = 0.4
    sweep: float = 60.0
    clear_away: float = 3600.0
    enter: float = 10.0
    last_answer: float = 8.0
    idle_key: float = 60.0


def new_ticket() -> str:
    """All that there is between a stranger and a clip."""
    return "s2v_" + secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class TypicalDurations:
    """How long the clips of a service took here, in seconds from their sending: half lie between the first two."""

    count: int
    quarter: float
    three_quarters: float
    nine_tenths: float

    @classmethod
    def of(cls, seconds: list[float]) -> "TypicalDurations | None":
        """None where there are too few to say."""
        if len(seconds) < 5:
            return None
        cuts = quantiles(seconds, n=20, method="inclusive")
        return cls(len(seconds), cuts[4], cuts[14], cuts[17])


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands in its row; `now` is the database's time of the look, and times are epoch seconds.

    The sums are of the clip's file as it came and as it is served; an earlier version's rows have none.
    The `reason` is why it ended so or, under way, what it waits for. A row of an earlier version has `words` instead:
    what happened, and what to do.
    """

    ticket: str
    state: State
    service: str
    provider: str
    key: str
    payer: Payer
    visitor: str = field(repr=False)
    photo: str = field(repr=False)
    prompt: str = field(repr=False)
    prompt_optimizer: bool
    amount: int | None
    status: str
    task_id: str
    file_id: str
    clip: str
    came_sha256: str = ""
    served_sha256: str = ""
    reason: Reason | None
    facts: Facts
    words: tuple[str, str] = ("", "")
    began: dict[Stage, float]
    ended: float | None
    changed: float
    now: float
    deleted: bool

    @property
    def simulated(self) -> bool:
        return self.payer is Payer.NOBODY

    @property
    def queued(self) -> float:
        return self.began[Stage.PREPARE]

    @property
    def what(self) -> str:
        """What happened; empty while it is under way."""
        return "" if self.state in UNDER_WAY else self._happened

    @property
    def advice(self) -> str:
        """What to do about its end, where there is something."""
        if self.state in UNDER_WAY or self.reason is None:
            return self.words[1]
        usual = _ADVICE.get(self.state, "")
        return what_to_do(self.reason) or (gettext(usual) if usual else "")

    @property
    def waits(self) -> str:
        """What it waits for; empty where it waits for nothing but the service, and after its end."""
        if self.state not in UNDER_WAY:
            return ""
        again = self.reason is not None and not self.reason.is_wait
        return paragraph(self._happened, gettext("We keep retrying.")) if again else self._happened

    @property
    def _happened(self) -> str:
        return self.words[0] if self.reason is None else what_happened(self.reason, self.facts)

    @property
    def overdue(self) -> bool:
        return self.state is State.RENDERING and self.now > self.began[Stage.QUEUE] + DEADLINE_SECONDS

    @property
    def charge(self) -> Charge:
        return Charge.NONE if self.amount == 0 else _CHARGES.get(self.state, Charge.SPENT)

    @property
    def seconds(self) -> dict[Stage, float]:
        """How long each stage has taken so far, in their order."""
        starts = [*self.began.values(), self.ended or self.now]
        return {stage: max(0.0, end - start) for stage, start, end in zip(self.began, starts, starts[1:], strict=False)}
