"""What is said to people is said in their language, and in all of them."""

import ast
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest
from babel.messages.catalog import Message

from s2v_core.__main__ import main
from s2v_core.errors import Charge, ChargeUnknown, ImageRejected, Refused
from s2v_core.jobs.schema import because
from s2v_core.language import (
    LANGUAGES,
    Sentence,
    gettext,
    ngettext,
    of_environment,
    of_header,
    paragraph,
    read_in,
    said,
)
from s2v_core.page import cards
from s2v_core.reasons import _WORDS, Reason, what_happened
from s2v_core.server.translation import marked, translated

from .catalogues import kept, renewed
from .support.forks import ROOT
from .support.sentences import in_code

OTHERS = [language for language in LANGUAGES if language != "en"]
COMMANDS = ("", "generate", "fetch", "jobs", "pin", "join", "show", "move", "simulate", "check")
MISTAKES = (
    "", "nothing", "generate", "generate a b --turn 1", "generate --s a b", "jobs --all=x", "simulate --port x",
    "fetch a -o", "fetch a b",
)  # fmt: skip
# A sentence, or a title of some words.
SENTENCE = re.compile(r"[A-Z“][a-z’']+ .*[a-z].*")
# What only programs and their makers read; settings and the log, which are the same everywhere.
ASIDE = {
    "page/tools.py", "page/mcp.py", "page/examples.py", "simulator/service.py", "settings.py", "network.py",
    "jobs/database.py", "server/start.py", "server/launch.py",
}  # fmt: skip


def messages(language: str) -> list[Message]:
    return [each for each in kept(language) if each.id]


def texts(sentence: str | tuple[str, ...] | list[str]) -> list[str]:
    return [sentence] if isinstance(sentence, str) else [*sentence]


@pytest.mark.parametrize("language", OTHERS)
def test_each_sentence_is_translated_and_none_is_left_over(language: str) -> None:
    assert {each.id for each in messages(language)} == {each.id for each in renewed(language) if each.id}
    assert [each.id for each in messages(language) if not all(texts(each.string)) or each.fuzzy] == []


@pytest.mark.parametrize("language", OTHERS)
def test_translations_have_the_same_facts(language: str) -> None:
    facts = re.compile(r"{(\w+)}|%(?:\((\w+)\))?[sr]")
    for each in messages(language):
        wanted = set(facts.findall(texts(each.id)[-1]))
        assert [set(facts.findall(text)) for text in texts(each.string)] == [wanted] * len(texts(each.string)), each.id


@pytest.mark.parametrize("language", OTHERS)
def test_translations_end_as_their_sentences_do(language: str) -> None:
    for each in messages(language):
        for text in texts(each.string):
            assert text.endswith("。") == texts(each.id)[-1].endswith("."), each.id


@pytest.mark.parametrize("language", OTHERS)
def test_names_stay_as_they_are(language: str) -> None:
    names = re.compile(r"S2V_[A-Z_]+|S2V-01|S2V Studio|MiniMax|302\.AI|PTC|XMP|SQLite|PostgreSQL|`[^`]+`|--[a-z]+")
    for each in messages(language):
        for text in texts(each.string):
            assert set(names.findall(text)) == set(names.findall(texts(each.id)[-1])), each.id


def test_no_sentence_is_said_in_english_alone() -> None:
    known = {text for each in in_code() for text in texts(each)}
    core = ROOT / "s2v_core"
    files = {ROOT / "app.py", *core.rglob("*.py")} - {core / name for name in ASIDE}
    found = [
        f"{path.name}: {text}"
        for path in files
        for text in literals(ast.parse(path.read_text("utf-8")))
        if SENTENCE.fullmatch(text) and text not in known
    ]
    assert found == []


def literals(module: ast.Module) -> Iterator[str]:
    """All texts but docstrings, and what goes into the log."""
    aside = set[int]()
    for node in ast.walk(module):
        match node:
            case ast.Expr(value=ast.Constant()):
                aside.add(id(node.value))
            case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"))):
                aside |= {id(each) for each in ast.walk(node)}
            case ast.Call(func=ast.Name(id="RuntimeError" | "TypeError" | "ValueError")):
                aside |= {id(each) for each in ast.walk(node)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in aside:
            yield node.value


def test_the_reader_s_language_is_found() -> None:
    assert of_header("") == of_header("fr, de;q=0.5") == of_header("*") == "en"
    assert of_header("ja") == of_header("fr, ja-JP;q=0.9, en;q=0.8") == of_header("en;q=0.1, ja;q=0.2") == "ja"
    assert of_header("zh-TW,zh;q=0.9") == of_header("zh-Hans-CN") == "zh-CN"
    assert of_header("ja;q=0, en;q=x, zh;q=0.1") == "zh-CN"
    assert of_header("," * 100_000) == "en"
    assert of_environment({}) == of_environment({"LANG": "C.UTF-8"}) == of_environment({"LANG": "de_DE"}) == "en"
    assert of_environment({"LANG": "zh_CN.UTF-8"}) == "zh-CN"
    assert of_environment({"LANG": "zh_CN.UTF-8", "LC_ALL": "ja_JP.UTF-8"}) == "ja"
    assert of_environment({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}) == "en"


@pytest.mark.parametrize("language", LANGUAGES)
def test_why_a_download_failed_is_said_in_the_reader_s_language_from_its_row(language: str) -> None:
    facts = {"detail": Sentence("the file host answered HTTP {status}", status=403)}
    with read_in("ja" if language == "zh-CN" else "zh-CN"):
        kept = because(Reason.NOT_DOWNLOADED, facts)["facts"]
    with read_in(language):
        detail = gettext("the file host answered HTTP {status}", status=403)
        said = gettext("The clip is rendered, but it could not be downloaded: {detail}.", detail=detail)
        assert what_happened(Reason.NOT_DOWNLOADED, json.loads(kept)) == said
        assert what_happened(Reason.NOT_DOWNLOADED, facts) == said


@pytest.mark.parametrize("words", [*(f"{name} --help" for name in COMMANDS), *MISTAKES])
@pytest.mark.parametrize("language", OTHERS)
def test_a_terminal_s_help_and_mistakes_in_a_command_are_in_the_reader_s_language(
    language: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", language)
    with redirect_stdout(StringIO()) as told, redirect_stderr(told), pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == (0 if "--help" in words else 2)
    seen = re.sub(r"python -m s2v_core |-[\w-]+ \w+\.\w+", "", told.getvalue())
    assert re.search("[\u3041-\u9fff]", seen)
    assert re.findall("[a-z]{2,} [a-z]{2,}", seen) == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_reason_and_every_card_is_in_the_reader_s_language(language: str) -> None:
    facts = {name: "7" for text in _WORDS.values() for name in re.findall(r"{(\w+)}", "".join(text))}
    with read_in(language):
        for reason in Reason:
            error = ImageRejected(reason, facts)
            # Names and what was given are all that is left of Latin letters.
            assert re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", error.what), reason
            card = cards.rejection_card(error)
            assert not SENTENCE.fullmatch(card["title"])
        for charge in Charge:
            assert charge.sentence("0.7 PTC", "302.AI").endswith("。")
        assert "。" in str(ChargeUnknown(Reason.NO_TASK))


def test_what_may_have_been_charged_is_said_as_exactly_in_every_language() -> None:
    for language, (open_, closed) in {"zh-CN": ("可能", "未扣费"), "ja": ("可能性", "課金されていません")}.items():
        with read_in(language):
            assert open_ in Charge.UNKNOWN.sentence("0.7 PTC")
            assert open_ in Charge.UNKNOWN.sentence()
            assert closed in Charge.NONE.sentence()
            assert closed not in Charge.UNKNOWN.sentence() + Charge.PROVIDER.sentence() + Charge.SPENT.sentence()


def test_an_error_is_said_in_the_language_of_who_reads_it() -> None:
    error = Refused(Reason.BUSY)
    english = str(error)
    with read_in("ja"):
        assert str(error) != english
        assert error.reason is Reason.BUSY
    assert str(error) == english


def test_sentences_follow_each_other_as_they_are_written() -> None:
    assert paragraph("One.", "", "Two.") == "One. Two."
    with read_in("ja"):
        assert paragraph("一。", "", "二。") == "一。二。"


def test_counts_and_facts_are_filled_in() -> None:
    assert [ngettext("{count} word", "{count} words", count) for count in (0, 1, 2)] == ["0 words", "1 word", "2 words"]
    with read_in("zh-CN"):
        assert {ngettext("{count} word", "{count} words", count)[0] for count in (1, 2)} == {"1", "2"}
    small = Sentence("The face is small ({height} px): a closer photo keeps the likeness better.", height=80)
    assert "80" in small
    with read_in("ja"):
        assert "80" in said(small) != small
        assert said("cropped to fit") == gettext("cropped to fit") != "cropped to fit"


def test_what_gradio_draws_is_said_and_what_is_data_stays() -> None:
    props = {
        "label": "Portrait",
        "value": {"title": "Ready when you are", "at": 1.5, "state": "idle"},
        "elem_id": "Scene",
    }
    assert translated(props) == {}
    with read_in("ja"):
        said_now = translated(props)
        assert set(said_now) == {"label", "value"}
        assert said_now["value"]["at"] == 1.5
        template = '<b data-say>Pause</b><img data-say=alt alt="The portrait">'
        both = translated({"html_template": marked(template)})["html_template"]
        assert 'data-say="Pause"' in both
        assert ">Pause<" not in both
        assert 'data-say-alt="The portrait" alt="The portrait"' not in both
