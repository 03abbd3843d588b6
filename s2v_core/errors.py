"""What can go wrong, whether it was charged, and what to do next.

S2VError
├── SettingsError        a setting cannot work; the program does not start
├── DatabaseUnavailable                 the ledger does not answer; what is in it stays
├── UnknownTicket        names no job here
├── InputRejected        nothing was sent
│   ├── ImageRejected
│   │   └── RatioRejected     too wide or too tall; cropping makes it fit
│   └── PromptRejected
├── Refused              turned down, or never left this machine: not charged
│   └── Busy             too many requests; the same submit may be sent again, later
├── ChargeUnknown              the submit may have been charged, and is never sent again
├── Failed               the provider gave up on the task and decides about the charge
└── NotDownloaded           paid, and not here yet; reading it again is free
"""

from enum import StrEnum
from typing import ClassVar


class Charge(StrEnum):
    """What is known about the money."""

    NONE = "none"
    SPENT = "spent"
    UNKNOWN = "unknown"
    PROVIDER = "provider"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Charge.NONE: "Nothing was charged.",
    Charge.SPENT: "It is paid.",
    Charge.UNKNOWN: "It may have been charged: it counts as spent and was not sent again.",
    Charge.PROVIDER: "Whether it is charged is the provider's decision.",
}


class S2VError(Exception):
    """The base of all; `str()` is what a person reads.

    `what` happened and the `advice` are sentences; `task_id` is the provider's, where there is one.
    """

    charge: ClassVar[Charge] = Charge.NONE
    advice: str = ""
    task_id: str | None = None

    def __init__(self, what: str, *, advice: str = "", task_id: str | None = None) -> None:
        super().__init__(what)
        self.advice = advice or self.advice
        self.task_id = task_id

    @property
    def what(self) -> str:
        return str(self.args[0])

    def __str__(self) -> str:
        return self.told(self.charge)

    def told(self, charge: Charge) -> str:
        """The whole sentence, for a job about whose charge more is known: a simulated one costs nothing."""
        task = f"Task {self.task_id}." if self.task_id else ""
        return " ".join(part for part in (self.what, charge.sentence, task, self.advice) if part)


class SettingsError(S2VError):
    """Names the variable, never its content."""

    def __str__(self) -> str:
        return self.what


class DatabaseUnavailable(S2VError):
    """The ledger's database does not answer, is full or locked for too long; the `reason` is for the log alone."""

    advice = "Nothing that is in it is lost: try again in a minute."

    def __init__(self, reason: str) -> None:
        super().__init__("The list of clips cannot be reached right now.")
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what} {self.advice}"


class UnknownTicket(S2VError):
    """Whoever has a job's ticket may see it, and nobody else."""

    advice = "Check that the ticket is complete, and that this is where it was made."

    def __str__(self) -> str:
        return f"{self.what} {self.advice}"


class InputRejected(S2VError):
    """The photo or the prompt cannot be sent as it is."""

    def __str__(self) -> str:
        return self.what


class ImageRejected(InputRejected):
    """Names the rule and the value found."""


class RatioRejected(ImageRejected):
    """Good but for its ratio: `prepare` takes it with `crop`."""


class PromptRejected(InputRejected):
    """Names the rule and the value found."""


class Refused(S2VError):
    """Certainly not charged."""

    advice = "Try again."


class Busy(Refused):
    """Refused only because too much was asked at once."""

    advice = "Wait a minute and try again."


class ChargeUnknown(S2VError):
    """The outcome of the submit is unknown."""

    charge = Charge.UNKNOWN
    advice = "Look at the provider's usage page; if the call is not there, make the clip again."


class Failed(S2VError):
    """The task is over and there is no clip."""

    charge = Charge.PROVIDER
    advice = "Change the photo or the prompt and make another."


class NotDownloaded(S2VError):
    """The clip can still be had with the task id."""

    charge = Charge.SPENT
    advice = "Fetch it later: that is free."
