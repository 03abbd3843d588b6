"""The service's contract, pure: paths, bodies, answers, codes.

From the public documentation of MiniMax and 302.AI and from recorded answers, 2025 to 2026.
What nobody published is marked "assumed".
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from .errors import Busy, ChargeUnknown, Failed, InputRejected, NotDownloaded, PromptRejected, Refused

MODEL = "S2V-01"
BASE_URL = "https://api.302.ai/minimaxi/v1"
SUBMIT, QUERY, RETRIEVE = "/video_generation", "/query/video_generation", "/files/retrieve"

PROMPT_CHARACTERS = 2000
PROMPT_WORDS = 200  # 302.AI's advice, which nothing enforces
PHOTO_BYTES = 20_000_000
PHOTO_SIDE = 300
PHOTO_RATIO = 2.5
# Longer than this and a task is overdue; "1 to 4 minutes, at times 10 and more" were seen.
DEADLINE_SECONDS = 1200.0
CLIP_SIZE = (1280, 720)
CLIP_SECONDS = 6

_PROVIDERS = {
    "simulator": "Simulator",
    "api.302.ai": "302.AI",
    "api.minimax.io": "MiniMax",
    "api.minimaxi.com": "MiniMax China",
}
# Where a person finds keys, and what was charged.
_CONSOLES = {
    "302.AI": ("https://dash.302.ai/apis/list", "https://dash.302.ai/charge"),
    "MiniMax": (
        "https://platform.minimax.io/user-center/basic-information/interface-key",
        "https://platform.minimax.io/user-center/payment/balance",
    ),
    "MiniMax China": (
        "https://platform.minimaxi.com/user-center/basic-information/interface-key",
        "https://platform.minimaxi.com/user-center/payment/balance",
    ),
}
_PRICES = {"simulator": 0, "api.302.ai": 700}


def provider(base_url: str) -> str:
    """Who is asked, as a person calls it: `302.AI`, `MiniMax`, or the host."""
    host = urlsplit(base_url).netloc
    return _PROVIDERS.get(host, host)


def price(base_url: str) -> int | None:
    """A call's price in thousandths of a PTC; None where only the provider knows."""
    return _PRICES.get(urlsplit(base_url).netloc)


def console(provider: str) -> tuple[str, str]:
    """The provider's pages of keys and of charges; empty where we know of none."""
    return _CONSOLES.get(provider, ("", ""))


def price_words(base_url: str) -> str:
    """`free`, `0.7 PTC a clip`, or who prices it."""
    match price(base_url):
        case None:
            return f"priced by {provider(base_url)}"
        case 0:
            return "free"
        case thousandths:
            return f"{thousandths / 1000:g} PTC a clip"


class Status(StrEnum):
    """The documented ones; any other text means that it is still running."""

    PREPARING = "Preparing"
    QUEUEING = "Queueing"
    PROCESSING = "Processing"
    SUCCESS = "Success"
    FAIL = "Fail"


_STATUSES = {status.lower(): status for status in Status} | {"failed": Status.FAIL}


@dataclass(frozen=True, slots=True)
class Task:
    """One answer to a query. `file_id` is empty until there is a clip; with one it is a success, whatever its word."""

    id: str
    status: str
    file_id: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a clip can be downloaded, for an hour or so; pre-signed, so never logged."""

    url: str
    backup_url: str = ""


class PollFailed(Exception):
    """A free call told us nothing; ask again. `slow` asks for more timing."""

    def __init__(self, what: str, *, slow: bool = False, unknown_task: bool = False) -> None:
        super().__init__(what)
        self.slow = slow
        self.unknown_task = unknown_task


class OnSubmit(StrEnum):
    REFUSED = "refused"
    BUSY = "busy"
    UNCLEAR = "unclear"


class OnPoll(StrEnum):
    AGAIN = "again"
    SLOWLY = "slowly"
    STOP = "stop"
    FAILED = "failed"
    UNKNOWN_TASK = "unknown task"


@dataclass(frozen=True, slots=True)
class Outcome:
    what: str
    advice: str = ""
    on_submit: OnSubmit = OnSubmit.REFUSED
    on_poll: OnPoll = OnPoll.AGAIN


_TROUBLE = Outcome("The service had an internal error.", on_submit=OnSubmit.UNCLEAR)
_BUSY = Outcome("The service is taking no more requests just now.", on_submit=OnSubmit.BUSY, on_poll=OnPoll.SLOWLY)
KEY_NOT_ACCEPTED = "The service does not accept this key."
_KEY = Outcome(
    KEY_NOT_ACCEPTED,
    "Check that the key is complete, and that it belongs to this provider and region.",
    on_poll=OnPoll.STOP,
)
_BALANCE = Outcome("The account's balance is too low.", "Top up the account, then try again.", on_poll=OnPoll.STOP)
_QUOTA = Outcome(
    "The key has reached its usage limit.", "Raise the limit or wait until it renews.", on_poll=OnPoll.SLOWLY
)
_PLAN = Outcome(
    "The plan does not include this model, or its extra usage is off.",
    "Change the plan, or use another key.",
    on_poll=OnPoll.STOP,
)
_REFUSAL = Outcome("The service refused the request.", "Put right what it names, then try again.")
_INVALID = Outcome(
    "The service did not accept the request.",
    "Change the photo or the prompt.",
    on_poll=OnPoll.UNKNOWN_TASK,  # assumed: what a task id that it does not know gets
)

_CODES: Mapping[int, Outcome] = {
    **dict.fromkeys((1000, 1001, 1013, 1024, 1033), _TROUBLE),
    **dict.fromkeys((1002, 1039, 1041, 2045), _BUSY),
    **dict.fromkeys((1004, 2049), _KEY),
    1008: _BALANCE,
    1026: Outcome(
        "The service judged the prompt or the photo to be sensitive.",
        "Change the prompt or the photo.",
        on_poll=OnPoll.FAILED,
    ),
    1027: Outcome(
        "The service judged the finished video to be sensitive.",
        "Change the prompt or the photo.",
        on_submit=OnSubmit.UNCLEAR,
        on_poll=OnPoll.FAILED,
    ),
    1042: Outcome("The prompt has too many invisible characters.", "Type the prompt again."),
    2013: _INVALID,
    2056: Outcome(_QUOTA.what, _QUOTA.advice, on_poll=OnPoll.STOP),
    **dict.fromkeys((2061, 2062), _PLAN),
}
# assumed, from those that are known: parameters, permission, plan
_REFUSALS = range(2000, 3000)

_GATEWAY: Mapping[int, Outcome] = {
    **dict.fromkeys((-10001, -10005), _KEY),
    -10003: _TROUBLE,
    -10004: _BALANCE,
    **dict.fromkeys((-10006, -10007, -10018), _QUOTA),
    -10008: Outcome("The service has no capacity for this model just now.", "Try again in a few minutes."),
    -10011: _INVALID,
}
_GATEWAY_REFUSES = -10008

_HTTP: Mapping[int, Outcome] = {401: _KEY, 402: _BALANCE, 429: _BUSY}
_HTTP_REFUSES = {*range(300, 400), 400, 401, 402, 403, 404, 405, 413, 415, 422, 429}


_DECODER = json.JSONDecoder(strict=False, parse_int=str)
_TASK_ID = re.compile(rb'"task_id"\s*:\s*"?([0-9]{10,200})["\s,}]')
_NUMBER = re.compile(r"([+-]?[0-9]{1,9})(\.0*)?")
_NO_ID = {"", "0", "null", "none"}


_BREAKS = str.maketrans(dict.fromkeys("\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029", " "))
_AROUND = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u2060\ufeff"
# They make one emoji, a flag or a ligature of what stands beside them.
_JOINERS = {"\u200c", "\u200d", *map(chr, range(0xE0020, 0xE0080))}
# Fillers that count as letters or signs, and what Unicode keeps free for characters that show nothing.
_BLANK = {
    *"\u115f\u1160\u2065\u2800\u3164\uffa0\U0001d159",
    *map(chr, (*range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000))),
}
_SHOW_NOTHING = {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me"}


def shows(text: str) -> bool:
    """Whether there is anything to be seen in a text."""
    return any(c not in _BLANK and unicodedata.category(c) not in _SHOW_NOTHING for c in text)


def plain(text: object, most: int = 200) -> str:
    """Text from outside as one line without control, bidi and lone surrogate characters.

    Empty if it is no text, or shows nothing.
    """
    line = " ".join(text[: 4 * most].split()) if isinstance(text, str) else ""
    line = "".join(c for c in line if c in _JOINERS or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"})
    if not shows(line):
        return ""
    return line if len(line) <= most else line[: most - 1] + "…"


def check_prompt(prompt: object) -> str:
    """The prompt as it is sent, the same however it was typed. Raises `PromptRejected`."""
    text = prompt.replace("\r\n", "\n").translate(_BREAKS) if isinstance(prompt, str) else ""
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    # At most four characters become one; long runs of marks take the square of their length.
    if len(text) <= 4 * PROMPT_CHARACTERS:
        text = unicodedata.normalize("NFC", text)
    text = text.strip(_AROUND)
    if not shows(text):
        raise PromptRejected("The prompt is empty: write what the person does, and where.")
    if len(text) > PROMPT_CHARACTERS:
        raise PromptRejected(
            f"The prompt has {len(text)} characters; the service takes {PROMPT_CHARACTERS}: shorten it."
        )
    return text


_WORDS = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}


def meant(value: object) -> bool | None:
    """The yes or no in what a program sent for one: `true`, `1`, `"off"`; None where it is neither."""
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def check_optimizer(value: object) -> bool:
    """As it is sent; null leaves it to the service, whose choice is yes. Raises `InputRejected`."""
    if (found := True if value is None else meant(value)) is None:
        raise InputRejected("prompt_optimizer is true or false: whether the service may rewrite the prompt.")
    return found


def submit_body(image: str, prompt: str, *, prompt_optimizer: bool) -> bytes:
    """`image` is a data URL or a public https URL; nothing undocumented is sent."""
    body = {
        "model": MODEL,
        "prompt": prompt,
        "prompt_optimizer": prompt_optimizer,
        "subject_reference": [{"type": "character", "image": [image]}],
    }
    return json.dumps(body, ensure_ascii=False).encode()


def read_submit(http_status: int, body: bytes) -> str:
    """The task id. Raises `Refused`, `Busy` or `ChargeUnknown`: the charge table of the service."""
    answer = _json(body) or _cut_off(body)
    if task_id := _id(answer.get("task_id")):
        return task_id
    code, message = _base_resp(answer)
    gateway, gateway_message = _gateway(answer)
    said = _said(message if code else gateway_message, http_status)
    known = _GATEWAY.get(gateway)
    if outcome := _CODES.get(code) or (_REFUSAL if code in _REFUSALS else None):
        verdict = outcome.on_submit
    elif known and (gateway == _GATEWAY_REFUSES or 200 <= http_status < 300):
        outcome, verdict = known, known.on_submit
    elif http_status in _HTTP_REFUSES:
        outcome = known or _HTTP.get(http_status) or Outcome(_REFUSAL.what)
        verdict = OnSubmit.BUSY if outcome.on_submit is OnSubmit.BUSY else OnSubmit.REFUSED
    else:
        outcome, verdict = Outcome("The service answered, but not with a task."), OnSubmit.UNCLEAR
    match verdict:
        case OnSubmit.REFUSED:
            raise Refused(outcome.what + said, advice=outcome.advice)
        case OnSubmit.BUSY:
            raise Busy(outcome.what + said)
        case OnSubmit.UNCLEAR:
            raise ChargeUnknown(outcome.what + said)


def read_query(task_id: str, http_status: int, body: bytes) -> Task:
    """The task as it stands. Raises `Failed`, `NotDownloaded` (stop asking) or `PollFailed` (ask again)."""
    answer = _json(body)
    status = plain(answer.get("status"), 40)
    status = _STATUSES.get(status.lower(), status)
    code, outcome, said = _read_outcome(answer, http_status)
    on_poll = outcome.on_poll if outcome else None
    answered = 200 <= http_status < 300
    # Envelopes of errors have a word "fail" too, and name no task.
    failed = status == Status.FAIL and (answered or _id(answer.get("task_id")))
    if failed or on_poll is OnPoll.FAILED:
        reason = outcome.what if outcome else "" if code else "It gave no reason."
        raise Failed(f"The service gave up on this clip. {reason}".rstrip() + said, task_id=task_id)
    if file_id := _id(answer.get("file_id")):
        return Task(task_id, Status.SUCCESS, file_id)
    if outcome and on_poll is OnPoll.STOP:
        raise NotDownloaded(outcome.what + said, advice=outcome.advice, task_id=task_id)
    if code or outcome or not answered or not status:
        raise _no_news(outcome, said)
    return Task(task_id, status)


def read_retrieve(http_status: int, body: bytes) -> Link:
    """Where the clip is. Raises `NotDownloaded` (stop asking) or `PollFailed` (ask again)."""
    answer = _json(body)
    file = answer.get("file")
    links = (
        [_text(file.get(name)) for name in ("download_url", "backup_download_url")] if isinstance(file, dict) else []
    )
    # One that came can be tried for nothing, whatever else the answer says.
    if found := [link for link in links if link]:
        return Link(found[0], *found[1:])
    _, outcome, said = _read_outcome(answer, http_status)
    if outcome and outcome.on_poll is OnPoll.STOP:
        raise NotDownloaded(outcome.what + said, advice=outcome.advice)
    raise _no_news(outcome, said)


def _json(body: bytes) -> dict[str, Any]:
    # A field that nobody needs must not cost the rest: integers stay text, and what is no UTF-8 becomes �.
    try:
        value, _ = _DECODER.raw_decode(body.decode(json.detect_encoding(body), "replace").lstrip())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _cut_off(body: bytes) -> dict[str, str]:
    # A task id that came whole is paid for, whatever is wrong with what surrounds it.
    found = _TASK_ID.search(body)
    return {"task_id": found[1].decode()} if found else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _id(value: object) -> str:
    # A string of digits, in some answers an integer, which is text by now; a float has already lost digits.
    text = _text(value)
    return text if text.isascii() and text.isprintable() and len(text) <= 200 and text.lower() not in _NO_ID else ""


def _code(value: object) -> int:
    # 1008, "1008" and 1008.0.
    found = _NUMBER.fullmatch(str(value).strip()) if isinstance(value, str | float) else None
    return int(found[1]) if found else 0


def _base_resp(answer: Mapping[str, Any]) -> tuple[int, str]:
    base = answer.get("base_resp")
    return (_code(base.get("status_code")), plain(base.get("status_msg"))) if isinstance(base, dict) else (0, "")


def _gateway(answer: Mapping[str, Any]) -> tuple[int, str]:
    error = answer.get("error")
    return (_code(error.get("err_code")), plain(error.get("message"))) if isinstance(error, dict) else (0, "")


def _read_outcome(answer: Mapping[str, Any], http_status: int) -> tuple[int, Outcome | None, str]:
    code, message = _base_resp(answer)
    gateway, gateway_message = _gateway(answer)
    outcome = _CODES.get(code) or _GATEWAY.get(gateway) or _HTTP.get(http_status)
    return code or gateway, outcome, _said(message if code else gateway_message, http_status)


def _said(message: str, http_status: int) -> str:
    if message and message.lower() != "success":
        return f" It said: “{message}”."
    return "" if 200 <= http_status < 300 else f" It answered HTTP {http_status}."


def _no_news(outcome: Outcome | None, said: str) -> PollFailed:
    on_poll = outcome.on_poll if outcome else OnPoll.AGAIN
    return PollFailed(
        (outcome.what if outcome else "The service's answer says nothing.") + said,
        slow=on_poll is OnPoll.SLOWLY,
        unknown_task=on_poll is OnPoll.UNKNOWN_TASK,
    )
