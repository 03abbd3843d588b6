"""The tables of the service's answers, over the samples; each is marked seen, documented or assumed."""

import json
import random
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s2v_core import providers, wire
from s2v_core.errors import (
    Busy,
    ChargeUnknown,
    Failed,
    InputRejected,
    NotDownloaded,
    PollFailed,
    PromptRejected,
    Refused,
    S2VError,
)
from s2v_core.text import check_optimizer, check_prompt, plain

SAMPLES = Path(__file__).parent / "samples"
TASK = "427144058097923"


NOW = 1_767_225_600.0  # 2026, in UTC


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("Thu, 99 Jan 2026 00:01:30 GMT", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_or_nothing(header: str, seconds: float | None) -> None:
    assert wire.read_retry_after(header, NOW) == seconds


def samples(call: str) -> Any:
    rows = json.loads((SAMPLES / f"{call}.json").read_text())
    return pytest.mark.parametrize("sample", rows, ids=[row["name"] for row in rows])


def body_of(sample: dict[str, Any]) -> bytes:
    body = sample["body"]
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def check(sample: dict[str, Any], read: Any) -> None:
    assert sample["mark"] in {"seen", "documented", "assumed"}
    expected = dict(sample["expect"])
    error, says = expected.pop("error", None), expected.pop("says", "")
    if error is None:
        answer = read()
        assert {name: getattr(answer, name) for name in expected} == expected
        return
    with pytest.raises(S2VError) as caught:
        read()
    assert type(caught.value).__name__ == error
    assert says in str(caught.value)
    assert {name: getattr(caught.value, name) for name in expected} == expected


@samples("submit")
def test_a_submit_is_accepted_refused_or_unclear_as_the_charge_table_says(sample: dict[str, Any]) -> None:
    def read() -> Any:
        return type("Answer", (), {"task_id": wire.read_submit(sample["http"], body_of(sample))})

    check(sample, read)


@samples("query")
def test_a_query_is_a_task_an_end_or_no_news(sample: dict[str, Any]) -> None:
    check(sample, lambda: wire.read_query(TASK, sample["http"], body_of(sample)))


@samples("retrieve")
def test_a_retrieve_is_a_link_an_end_or_no_news(sample: dict[str, Any]) -> None:
    check(sample, lambda: wire.read_retrieve(sample["http"], body_of(sample)))


UNCLEAR, AGAIN = (ChargeUnknown, None), (PollFailed, False)
STOP = (Refused, None), (NotDownloaded, None), (NotDownloaded, None)
# On submit, on query, on retrieve; PollFailed with whether to ask more slowly.
CODES: dict[int, tuple[Any, Any, Any]] = {
    **dict.fromkeys((1042, *range(2000, 3000)), ((Refused, None), AGAIN, AGAIN)),
    **dict.fromkeys((1002, 1039, 1041, 2045), ((Busy, None), (PollFailed, True), (PollFailed, True))),
    **dict.fromkeys((1004, 1008, 2049, 2056, 2061, 2062), STOP),
    1026: ((Refused, None), (Failed, None), AGAIN),
    1027: (UNCLEAR, (Failed, None), AGAIN),
}  # fmt: skip


def outcome(read: Callable[..., object], *answer: object) -> tuple[type[Exception] | None, bool | None]:
    try:
        read(*answer)
    except S2VError as error:
        return type(error), getattr(error, "slow", None)
    return None, None


@pytest.mark.parametrize("write", ["{}", '"{}"', "{}.0", '" {}.0 "'])
def test_every_code_means_on_each_call_what_the_table_says(write: str) -> None:
    for code in (-1, *range(1, 999, 77), *range(999, 3001), 10_000, 999_999_999):
        text = '{"status": "", "base_resp": {"status_code": %s, "status_msg": "why"}}'.replace("%s", write.format(code))
        body = text.encode()
        found = (
            outcome(wire.read_submit, 200, body),
            outcome(wire.read_query, TASK, 200, body),
            outcome(wire.read_retrieve, 200, body),
        )
        assert found == CODES.get(code, (UNCLEAR, AGAIN, AGAIN)), code
        assert wire.read_submit(200, b'{"task_id": "1", ' + body[1:]) == "1"
        with pytest.raises(Failed):
            wire.read_query(TASK, 200, body.replace(b'"status": ""', b'"status": "Fail"'))


def test_the_submit_holds_the_documented_fields_and_no_other() -> None:
    body = wire.submit_body("data:image/jpeg;base64,AAAA", "She smiles.", prompt_optimizer=False)
    assert json.loads(body) == {
        "model": "S2V-01",
        "prompt": "She smiles.",
        "prompt_optimizer": False,
        "subject_reference": [{"type": "character", "image": ["data:image/jpeg;base64,AAAA"]}],
    }


def test_an_answer_of_5_mb_gives_a_message_of_one_short_line() -> None:
    body = json.dumps({"base_resp": {"status_code": 2013, "status_msg": "\x1b[31mx\u202e\n" * 700_000}}).encode()
    with pytest.raises(S2VError) as caught:
        wire.read_submit(200, body)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_a_nested_bomb_of_json_is_no_answer() -> None:
    with pytest.raises(PollFailed):
        wire.read_query(TASK, 200, b"[" * 200_000)


# As JSON: what a field may hold that nobody expects there.
STRANGE = [
    "null", "true", "false", "0", "-1", "2013", "1008.0", "1e3", "-10001", "Infinity", "-Infinity", "NaN", "1e999999",
    "9" * 5000, "0." + "9" * 5000, '"--1"', '"+-1"', '"' + "9" * 5000 + '"', '"1008"', '" 1008.0 "', '"1e9"', '"٣"',
    '"²"', '"１００８"', '""', '" "', '"\\u0000"', '"\\ud800"', '"\x01\n"', '"\\u202e"', '"\u200d"', '"null"', '"Fail"',
    '"Success"', '"' + "x" * 5000 + '"', "[]", "[[]]", '["1"]', "{}", '{"a": 1}', "[" * 900 + "]" * 900,
    '{"status_code": "--1", "status_msg": [1]}', '{"err_code": "--1", "message": {}}', '{"download_url": 5}',
]  # fmt: skip
FIELDS = {
    "top": ["task_id", "status", "file_id", "video_width", "base_resp", "error", "file", "extra"],
    "base_resp": ["status_code", "status_msg"],
    "error": ["err_code", "message"],
    "file": ["file_id", "download_url", "backup_download_url"],
}
BODIES = [
    b"", b" ", b"null", b"5", b"9" * 5000, b"NaN", b"[]", b'"x"', b"{", b"}", b'{"', b"\xff\xfe{", b"\x00" * 40,
    b"\xff" * 40, b"\xef\xbb\xbf{}", b"<html>", b"{" * 100_000, b'{"a":' * 100_000, b"[" * 900_000,
    b'"task_id":' * 90_000,
]  # fmt: skip


def strange_bodies() -> Iterator[bytes]:
    yield from BODIES
    for place, names in FIELDS.items():
        for name in names:
            for value in STRANGE:
                field = f'"{name}": {value}'
                body = "{" + (field if place == "top" else f'"{place}": {{{field}}}, "status": "Processing"') + "}"
                yield body.encode()
                yield body.encode()[:-3]
                yield body.encode("utf-16")
                yield body.encode() + b"\n<!-- -->"


@pytest.mark.parametrize("http", [200, 401, 503])
def test_no_answer_raises_anything_but_what_is_documented(http: int) -> None:
    for body in strange_bodies():
        said = ""
        try:
            assert wire.read_submit(http, body).isprintable()
        except (Refused, ChargeUnknown) as error:
            said = str(error)
        try:
            task = wire.read_query(TASK, http, body)
            assert (task.file_id + "x").isascii()
            assert len(task.status) <= 40
        except (Failed, NotDownloaded, PollFailed) as error:
            said += str(error)
        try:
            wire.read_retrieve(http, body)
        except (NotDownloaded, PollFailed) as error:
            said += str(error)
        assert len(said) < 1500
        assert not {unicodedata.category(c) for c in said} & {"Cc", "Cs", "Co"}, body[:80]


@pytest.mark.parametrize(
    "value", ['"--1"', "9" * 5000, '"' + "9" * 5000 + '"', "NaN", '"\\ud800"', "[" * 900 + "]" * 900]
)
def test_a_field_that_nobody_needs_spoils_no_answer(value: str) -> None:
    extra = f'"video_width": {value}, "base_resp": {{"status_code": 0, "extra": {value}}}'
    assert wire.read_submit(200, f'{{"task_id": "{TASK}", {extra}}}'.encode()) == TASK
    task = wire.read_query(TASK, 200, f'{{"status": "Success", "file_id": 427071051673913, {extra}}}'.encode())
    assert task == wire.Task(TASK, "Success", "427071051673913")
    assert wire.read_retrieve(200, f'{{"file": {{"download_url": "https://x"}}, {extra}}}'.encode()).url == "https://x"


@pytest.mark.parametrize(
    "body",
    [
        b'{"task_id": "%s", "base_resp": {"status_c',
        b'{"base_resp": {"status_code": 0}, "task_id": %s, "x',
        b'{"task_id": "%s", "base_resp": {"status_msg": "\xb3\xc9\xb9\xa6"}}',
        b'{"task_id": "%s", "base_resp": {"status_msg": "a\nb"}}',
        b'{"task_id": "%s"}<!-- by a relay -->',
        b'{"task_id": "%s", "x": ' + b"[" * 100_000,
        b'[{"task_id": "%s"}]',
    ],
    ids=["cut off", "an integer, cut off", "no UTF-8", "a raw newline", "more behind it", "nested", "in a list"],
)
def test_a_task_id_that_came_whole_is_found_in_a_broken_answer(body: bytes) -> None:
    assert wire.read_submit(200, body.replace(b"%s", TASK.encode())) == TASK


@pytest.mark.parametrize("message", [b"\xb3\xc9\xb9\xa6", b"a\nb", b"\xff\xfe", b"\xed\xa0\x80"])
def test_a_message_of_any_bytes_hides_no_file(message: bytes) -> None:
    body = b' {"status": "Success", "file_id": "1", "base_resp": {"status_msg": "%s"}}\n<!-- -->' % message
    assert wire.read_query(TASK, 200, body).file_id == "1"


@pytest.mark.parametrize("body", [b'{"task_id": "30679260602', b'{"task_id": 30679260602'])
def test_a_task_id_that_was_cut_off_is_none(body: bytes) -> None:
    with pytest.raises(ChargeUnknown):
        wire.read_submit(200, body)


NOTHING = {
    "empty": "", "blank": "  \n\t ", "control characters": "\x00\x07", "line breaks": "\v\f\r\x85\u2028\u2029",
    "no-break spaces": "\xa0\u202f\u3000", "zero width": "\u200b\u200c\u200d\u2060\ufeff", "soft hyphens": "\xad\xad",
    "bidi": "\u202e\u2066\u200f", "marks": "\u0301\ufe0f\u20e3", "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "braille": "\u2800", "Khmer": "\u17b4\u17b5", "Mongolian": "\u180b\u180e", "a null notehead": "\U0001d159",
    "tags": "\U000e0001\U000e0067\U000e007f", "selectors": "\U000e0100", "never assigned": "\u2065\ufff0\U000e0fff",
    "shorthand": "\U0001bca0", "a surrogate": "\ud83d", "no text": None, "a number": 7,
}  # fmt: skip


@pytest.mark.parametrize("prompt", NOTHING.values(), ids=NOTHING)
def test_a_prompt_that_shows_nothing_is_rejected(prompt: object) -> None:
    with pytest.raises(PromptRejected, match="empty"):
        check_prompt(prompt)
    if isinstance(prompt, str):
        assert plain(prompt) == ""
        body = json.dumps({"status": prompt, "base_resp": {"status_code": 2013, "status_msg": prompt}}).encode()
        with pytest.raises(Refused) as caught:
            wire.read_submit(200, body)
        assert "It said" not in str(caught.value)


# A woman, a technician's emoji, England's flag, a heart; Persian and Devanagari; each by its joiners or marks.
JOINED = [
    "👩‍🚀",
    "🧑🏽‍💻",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "❤️",
    "می‌خندد",
    "क्‍ष",
    "1️⃣",
    "가",
    "\U0001fae8",
]


@pytest.mark.parametrize("prompt", JOINED)
def test_what_joins_emoji_and_letters_survives(prompt: str) -> None:
    assert check_prompt(f" {prompt}\n") == prompt
    assert check_prompt(f"She {prompt} smiles.") == f"She {prompt} smiles."
    if "Cn" not in map(unicodedata.category, prompt):
        assert plain(prompt) == prompt


@pytest.mark.parametrize("cut", "\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029", ids=ascii)
def test_a_control_that_breaks_a_line_joins_no_words(cut: str) -> None:
    assert check_prompt(f"She smiles.{cut}She waves.") == "She smiles. She waves."
    assert plain(f"She smiles.{cut}She waves.") == "She smiles. She waves."


@pytest.mark.parametrize(
    "typed",
    [
        "Léa laughs,\r\nsoftly.", "  Léa laughs,\nsoftly.\n", "\ufeffLéa laughs,\nsoftly.\u200b",
        unicodedata.normalize("NFD", "Léa laughs,\nsoftly."), "Lé\x00a laughs,\nsoftly.",
        "\u2060 \u3000Léa laughs,\nsoftly.",
    ],
    ids=["CRLF", "space around", "a mark of byte order", "decomposed", "a control character", "more around"],
)  # fmt: skip
def test_a_prompt_is_the_same_however_it_was_typed(typed: str) -> None:
    assert check_prompt(typed) == "Léa laughs,\nsoftly."


def test_a_prompt_that_was_checked_is_not_changed_again() -> None:
    dice = random.Random(1)
    letters = [
        *"ab \n\t\r\v\x00\u0301\u0323\u0327\u200b\u200d\ufeff\u3164\u1100\u1161\u11a8\u0344\u2126\ufb2c\ud800👩🚀"
    ]
    for _ in range(3000):
        try:
            prompt = check_prompt("".join(dice.choices(letters, k=dice.randrange(1, 12))))
        except PromptRejected:
            continue
        assert check_prompt(prompt) == prompt


def test_a_prompt_of_100_kb_of_marks_is_rejected_at_once() -> None:
    began = time.process_time()
    with pytest.raises(PromptRejected, match="Shorten it"):
        check_prompt("a" + "\u0301\u0323" * 50_000)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("value", [True, 1, 1.0, None, "true", " True ", "YES", "on", "1"])
def test_what_means_yes_to_the_optimizer_is_true(value: object) -> None:
    assert check_optimizer(value) is True


@pytest.mark.parametrize("value", [False, 0, 0.0, -0.0, "false", "No\n", "OFF", "0"])
def test_what_means_no_to_the_optimizer_is_false(value: object) -> None:
    assert check_optimizer(value) is False


NEITHER = ["", " ", "maybe", "null", 2, -1, 0.5, float("nan"), float("inf"), 10**400, [], [True], {}, {"a": 1}, b"true"]


@pytest.mark.parametrize("value", NEITHER, ids=lambda value: ascii(value)[:12])
def test_what_means_neither_yes_nor_no_is_rejected(value: object) -> None:
    with pytest.raises(InputRejected, match=r"^prompt_optimizer is true or false"):
        check_optimizer(value)


def test_a_prompt_of_2000_characters_passes_and_one_of_2001_does_not() -> None:
    assert check_prompt("é" * 2000) == "é" * 2000
    with pytest.raises(PromptRejected, match=r"2001 characters.*2000"):
        check_prompt("é" * 2001)


def test_lone_surrogates_and_control_characters_leave_a_prompt() -> None:
    assert check_prompt(" a\ud800\x00b\n👩‍🚀 ") == "ab\n👩‍🚀"


@pytest.mark.parametrize(
    ("base_url", "name", "words"),
    [
        ("https://api.302.ai/minimaxi/v1", "302.AI", "0.7 PTC a clip"),
        ("https://api.minimax.io/v1", "MiniMax", "priced by MiniMax"),
        ("https://api.example:8443/v1", "api.example:8443", "priced by api.example:8443"),
        ("https://simulator/minimaxi/v1", "Simulator", "free"),
    ],
)
def test_the_base_url_tells_the_provider_and_the_price(base_url: str, name: str, words: str) -> None:
    assert (providers.provider(base_url), providers.price_of_a_clip(base_url)) == (name, words)
