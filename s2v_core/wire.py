"""The service's contract, pure: paths, bodies, answers, codes.

From the public documentation of MiniMax and 302.AI and from recorded answers, 2025 to 2026.
What nobody published is marked "assumed".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from .errors import Busy, ChargeUnknown, Failed, NotDownloaded, PollFailed, Refused
from .reasons import Facts, Reason
from .text import plain

MODEL = "S2V-01"
SUBMIT, QUERY, RETRIEVE = "/video_generation", "/query/video_generation", "/files/retrieve"

PHOTO_BYTES = 20_000_000
PHOTO_SIDE = 300
PHOTO_RATIO = 2.5
# Longer than this and a task is overdue; "1 to 4 minutes, at times 10 and more" were seen.
DEADLINE_SECONDS = 1200.0
CLIP_SIZE = (1280, 720)
CLIP_SECONDS = 6


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
    """What an answer leads to: on a submit, which is paid, and on a poll, which is free."""

    reason: Reason
    on_submit: OnSubmit = OnSubmit.REFUSED
    on_poll: OnPoll = OnPoll.AGAIN


_TROUBLE = Outcome(Reason.TROUBLE, on_submit=OnSubmit.UNCLEAR)
_BUSY = Outcome(Reason.BUSY, on_submit=OnSubmit.BUSY, on_poll=OnPoll.SLOWLY)
_KEY = Outcome(Reason.KEY, on_poll=OnPoll.STOP)
_BALANCE = Outcome(Reason.BALANCE, on_poll=OnPoll.STOP)
_PLAN = Outcome(Reason.PLAN, on_poll=OnPoll.STOP)
_TURNED_DOWN = Outcome(Reason.TURNED_DOWN)
# assumed: what a task id that it does not know gets
_INVALID = Outcome(Reason.INVALID, on_poll=OnPoll.UNKNOWN_TASK)

_CODES: Mapping[int, Outcome] = {
    **dict.fromkeys((1000, 1001, 1013, 1024, 1033), _TROUBLE),
    **dict.fromkeys((1002, 1039, 1041, 2045), _BUSY),
    **dict.fromkeys((1004, 2049), _KEY),
    1008: _BALANCE,
    1026: Outcome(Reason.SENSITIVE_INPUT, on_poll=OnPoll.FAILED),
    1027: Outcome(Reason.SENSITIVE_CLIP, on_submit=OnSubmit.UNCLEAR, on_poll=OnPoll.FAILED),
    1042: Outcome(Reason.INVISIBLE),
    2013: _INVALID,
    2056: Outcome(Reason.QUOTA, on_poll=OnPoll.STOP),
    **dict.fromkeys((2061, 2062), _PLAN),
}
# assumed, from those that are known: parameters, permission, plan
_REFUSALS = range(2000, 3000)

_GATEWAY: Mapping[int, Outcome] = {
    **dict.fromkeys((-10001, -10005), _KEY),
    -10003: _TROUBLE,
    -10004: _BALANCE,
    **dict.fromkeys((-10006, -10007, -10018), Outcome(Reason.QUOTA, on_poll=OnPoll.SLOWLY)),
    -10008: Outcome(Reason.CAPACITY),
    -10011: _INVALID,
}
_GATEWAY_REFUSES = -10008

_HTTP: Mapping[int, Outcome] = {401: _KEY, 402: _BALANCE, 429: _BUSY}
_HTTP_REFUSES = {*range(300, 400), 400, 401, 402, 403, 404, 405, 413, 415, 422, 429}


_DECODER = json.JSONDecoder(strict=False, parse_int=str)
_TASK_ID = re.compile(rb'"task_id"\s*:\s*"?([0-9]{10,200})["\s,}]')
_NUMBER = re.compile(r"([+-]?[0-9]{1,9})(\.0*)?")
_NO_ID = {"", "0", "null", "none"}


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
    """The task id. Raises `Refused`, `Busy` or `ChargeUnknown`.

    A known code decides, then the gateway's, then the HTTP status; whatever is left may have been charged.
    """
    answer = _json(body) or _cut_off(body)
    if task_id := _id(answer.get("task_id")):
        return task_id
    code, message = _base_resp(answer)
    gateway, gateway_message = _gateway(answer)
    said = _said(message if code else gateway_message, http_status)
    known = _GATEWAY.get(gateway)
    if outcome := _CODES.get(code) or (_TURNED_DOWN if code in _REFUSALS else None):
        verdict = outcome.on_submit
    elif known and (gateway == _GATEWAY_REFUSES or 200 <= http_status < 300):
        outcome, verdict = known, known.on_submit
    elif http_status in _HTTP_REFUSES:
        outcome = known or _HTTP.get(http_status) or _TURNED_DOWN
        verdict = OnSubmit.BUSY if outcome.on_submit is OnSubmit.BUSY else OnSubmit.REFUSED
    else:
        outcome, verdict = Outcome(Reason.NO_TASK), OnSubmit.UNCLEAR
    error = {OnSubmit.REFUSED: Refused, OnSubmit.BUSY: Busy, OnSubmit.UNCLEAR: ChargeUnknown}[verdict]
    raise error(outcome.reason, said)


def read_query(task_id: str, http_status: int, body: bytes, retry_after: float | None = None) -> Task:
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
        without = Reason.GAVE_UP if code else Reason.GAVE_UP_SILENTLY
        raise Failed(outcome.reason if outcome else without, said, task_id=task_id)
    if file_id := _id(answer.get("file_id")):
        return Task(task_id, Status.SUCCESS, file_id)
    if outcome and on_poll is OnPoll.STOP:
        raise NotDownloaded(outcome.reason, said, task_id=task_id)
    if code or outcome or not answered or not status:
        raise _poll_failed(outcome, said, retry_after)
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
        raise NotDownloaded(outcome.reason, said)
    raise _poll_failed(outcome, said)


def read_retry_after(header: str, now: float) -> float | None:
    """Seconds from the Unix time `now`, of a header that has a number of them or a date."""
    try:
        return float(header) if header.isdigit() else max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, OverflowError):
        return None


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


def _read_outcome(answer: Mapping[str, Any], http_status: int) -> tuple[int, Outcome | None, Facts]:
    code, message = _base_resp(answer)
    gateway, gateway_message = _gateway(answer)
    outcome = _CODES.get(code) or _GATEWAY.get(gateway) or _HTTP.get(http_status)
    return code or gateway, outcome, _said(message if code else gateway_message, http_status)


def _said(message: str, http_status: int) -> Facts:
    if message and message.lower() != "success":
        return {"said": message}
    return {} if 200 <= http_status < 300 else {"http": http_status}


def _poll_failed(outcome: Outcome | None, said: Facts, retry_after: float | None = None) -> PollFailed:
    on_poll = outcome.on_poll if outcome else OnPoll.AGAIN
    return PollFailed(
        outcome.reason if outcome else Reason.NO_NEWS,
        said,
        slow=on_poll is OnPoll.SLOWLY,
        retry_after=retry_after,
        unknown_task=on_poll is OnPoll.UNKNOWN_TASK,
    )
