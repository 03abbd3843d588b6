"""What can go wrong, whether it was charged, and what to do next.

S2VError
├── SettingsError        a setting cannot work; the program does not start
├── DatabaseUnavailable  the ledger does not answer; what is in it stays
├── UnknownTicket        names no job here
├── InputRejected        nothing was sent
│   ├── ImageRejected
│   │   └── RatioRejected     too wide or too tall; cropping makes it fit
│   └── PromptRejected
├── Refused              turned down, or never left this machine: not charged
│   └── Busy             too many requests; the same submit may be sent again, later
├── ChargeUnknown        the submit may have been charged, and is never sent again
├── Failed               the provider gave up on the task and decides about the charge
├── NotDownloaded        paid, and not here yet; reading it again is free
├── PollFailed           a free call told us nothing; it is asked again
└── DownloadFailed       one attempt brought no whole clip; it is tried again
"""

import logging
import traceback
from enum import StrEnum
from typing import ClassVar

from .language import gettext, paragraph, said
from .reasons import Facts, Reason, what_happened, what_to_do

_log = logging.getLogger(__name__)


class Charge(StrEnum):
    """What is known about the money."""

    NONE = "none"
    SPENT = "spent"
    UNKNOWN = "unknown"
    PROVIDER = "provider"

    def sentence(self, price: str = "", provider: str = "") -> str:
        """For people; with a `price` such as `0.7 PTC` and the `provider`, as far as they are known."""
        match self:
            case Charge.NONE:
                return gettext("Nothing was charged.")
            case Charge.SPENT:
                return gettext("It is paid: {price}.", price=price) if price else gettext("It is paid.")
            case Charge.UNKNOWN if price:
                unknown = "{price} may have been charged: it counts as spent and was not sent again."
                return gettext(unknown, price=price)
            case Charge.UNKNOWN:
                return gettext("It may have been charged: it counts as spent and was not sent again.")
            case _ if price:
                decides = "{provider} decides; it may charge {price}." if provider else (
                    "The provider decides; it may charge {price}."
                )  # fmt: skip
                return gettext(decides, provider=provider, price=price)
            case _:
                decides = "{provider} decides; it may charge for it." if provider else (
                    "The provider decides; it may charge for it."
                )  # fmt: skip
                return gettext(decides, provider=provider)


class S2VError(Exception):
    """The base of all; `str()` is what a person reads.

    `what` happened and the `advice` are sentences. They come from the `reason` and its `facts`; without a reason they
    are what the error was made with. `task_id` is the provider's, where there is one.
    """

    charge: ClassVar[Charge] = Charge.NONE
    # Where nothing can have been charged, nobody needs to hear that.
    says_charge: ClassVar[bool] = True
    # The advice where neither the reason nor who raised it has one.
    usual: ClassVar[str] = ""

    def __init__(
        self, why: Reason | str, facts: Facts | None = None, *, advice: str = "", task_id: str | None = None
    ) -> None:
        super().__init__(why)
        self.reason = why if isinstance(why, Reason) else None
        self.facts = dict(facts or {})
        self._advice = advice
        self.task_id = task_id

    @property
    def what(self) -> str:
        return what_happened(self.reason, self.facts) if self.reason else said(self.args[0])

    @property
    def advice(self) -> str:
        own = gettext(self._advice) if self._advice else what_to_do(self.reason) if self.reason else ""
        return own or (gettext(self.usual) if self.usual else "")

    def __str__(self) -> str:
        task = gettext("Task {task}.", task=self.task_id) if self.task_id else ""
        charge = self.charge.sentence() if self.says_charge else ""
        return paragraph(self.what, charge, task, self.advice)


class SettingsError(S2VError):
    """Names the variable, never its content."""

    says_charge = False


class DatabaseUnavailable(S2VError):
    """The ledger's database does not answer, is full or locked for too long; the `cause` is for the log alone."""

    says_charge = False

    def __init__(self, cause: str) -> None:
        super().__init__(Reason.LEDGER_AWAY)
        self.cause = cause


class UnknownTicket(S2VError):
    """No job here has this ticket. Whoever has a job's ticket may see it, and nobody else."""

    says_charge = False

    def __init__(self) -> None:
        super().__init__(Reason.UNKNOWN_TICKET)


class InputRejected(S2VError):
    """The photo or the prompt cannot be sent as it is."""

    says_charge = False


class ImageRejected(InputRejected):
    """Names the rule and the value found."""


class RatioRejected(ImageRejected):
    """Good but for its ratio: `prepare` takes it with `crop`."""


class PromptRejected(InputRejected):
    """Names the rule and the value found."""


class Refused(S2VError):
    """Certainly not charged."""

    usual = "Try again."


class Busy(Refused):
    """Refused only because too much was asked at once."""

    usual = "Wait a minute and try again."


class ChargeUnknown(S2VError):
    """The outcome of the submit is unknown."""

    charge = Charge.UNKNOWN
    usual = "Look at the provider's usage page; if the call is not there, make the clip again."


class Failed(S2VError):
    """The task is over and there is no clip."""

    charge = Charge.PROVIDER
    usual = "Change the photo or the prompt and make another."


class NotDownloaded(S2VError):
    """The clip can still be had with the task id."""

    charge = Charge.SPENT
    usual = "Fetch it later: that is free."


class PollFailed(S2VError):
    """A free call told us nothing. `slow` asks for a longer pause, `retry_after` for one of so many seconds."""

    says_charge = False

    def __init__(
        self, why: Reason, facts: Facts | None = None,
        *, slow: bool = False, retry_after: float | None = None, unknown_task: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(why, facts)
        self.slow = slow
        self.retry_after = retry_after
        self.unknown_task = unknown_task


class DownloadFailed(S2VError):
    """Its argument is a `Sentence` for what went wrong, in lower case and without a full stop."""

    says_charge = False


def report(error: BaseException | None) -> None:
    """Write into the log where an error came from; not its text, which can hold a prompt, a ticket or a key."""
    told: list[str] = []
    while error:
        kind = ": ".join(filter(None, (type(error).__qualname__, getattr(error, "strerror", ""))))
        told = [*traceback.format_tb(error.__traceback__), f"{kind}\n", *told]
        error = error.__cause__ or error.__context__
    _log.error("something went wrong\nTraceback (most recent call last):\n%s", "".join(told).rstrip())
