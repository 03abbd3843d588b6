"""The tables of the service's answers, over the samples; each is marked seen, documented or assumed."""

import json
from pathlib import Path
from typing import Any

import pytest

from s2v_core import wire
from s2v_core.errors import PromptRejected, S2VError

SAMPLES = Path(__file__).parent / "samples"
TASK = "427144058097923"


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
    with pytest.raises((S2VError, wire.NoNews)) as caught:
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
    with pytest.raises(wire.NoNews):
        wire.read_query(TASK, 200, b"[" * 200_000)


@pytest.mark.parametrize("prompt", ["", "  \n\t ", "\x00\x07"], ids=["empty", "blank", "control characters"])
def test_an_empty_prompt_is_rejected(prompt: str) -> None:
    with pytest.raises(PromptRejected, match="empty"):
        wire.check_prompt(prompt)


def test_a_prompt_of_2000_characters_passes_and_one_of_2001_does_not() -> None:
    assert wire.check_prompt("é" * 2000) == "é" * 2000
    with pytest.raises(PromptRejected, match=r"2001 characters.*2000"):
        wire.check_prompt("é" * 2001)


def test_lone_surrogates_and_control_characters_leave_a_prompt() -> None:
    assert wire.check_prompt(" a\ud800\x00b\n👩‍🚀 ") == "ab\n👩‍🚀"


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
    assert (wire.provider(base_url), wire.price_words(base_url)) == (name, words)
