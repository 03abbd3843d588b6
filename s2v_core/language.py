"""Sentences in the reader's language: English stands in the code, the others in `assets/locale`, one `.po` each."""

import gettext as standard
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "assets" / "locale"
LANGUAGES = ("en", "zh-CN", "ja")
_MOST = 200  # characters of a header that are read
_reader: ContextVar[str] = ContextVar("language", default="en")


def gettext(sentence: str, /, **facts: object) -> str:
    """In the reader's language, with its `facts` filled in; English where it is not translated."""
    forms = catalogue(language()).get(sentence)
    text = forms[0] if forms else sentence
    return _filled(text, facts)


def ngettext(one: str, several: str, count: int, /, **facts: object) -> str:
    """The form for so many, with `count` among its facts."""
    forms = catalogue(language()).get(one)
    text = forms[_form(language(), count)] if forms else one if count == 1 else several
    return _filled(text, {"count": count, **facts})


def paragraph(*sentences: str) -> str:
    """Those of these that say something, one after the other: Chinese and Japanese have no spaces between them."""
    return ("" if language() in ("zh-CN", "ja") else " ").join(filter(None, sentences))


class Sentence(str):
    """In English, and with what it takes to say it in another language; its facts are filled in."""

    _sentence: str
    _facts: dict[str, object]

    def __new__(cls, sentence: str, **facts: object) -> "Sentence":
        made = super().__new__(cls, sentence.format_map(facts) if facts else sentence)
        made._sentence, made._facts = sentence, facts
        return made

    def said(self) -> str:
        return gettext(self._sentence, **self._facts)

    @property
    def kept(self) -> list[object]:
        """What JSON can keep of it: its words, and their facts."""
        return [self._sentence, self._facts]


def _filled(text: str, facts: Mapping[str, object]) -> str:
    """A fact may be a `Sentence`, such as why something is so."""
    named = {name: fact.said() if isinstance(fact, Sentence) else fact for name, fact in facts.items()}
    return text.format_map(named) if facts else text


def said(text: str) -> str:
    """A `Sentence`, or a text without facts, in the reader's language."""
    return text.said() if isinstance(text, Sentence) else gettext(text)


def language() -> str:
    """One of `LANGUAGES`: whose words are made now."""
    return _reader.get()


@contextmanager
def read_in(language: str) -> Iterator[None]:
    """What is said within, in this language."""
    before = _reader.set(language)
    try:
        yield
    finally:
        _reader.reset(before)


class EnglishRecord(logging.LogRecord):
    """For `logging.setLogRecordFactory`: what is logged while a person's words are made is not in their language."""

    def getMessage(self) -> str:
        with read_in("en"):
            return super().getMessage()


def of_tag(tag: str) -> str:
    """The language that serves readers of a tag such as `zh-Hant-TW` or `ja_JP.UTF-8`; empty if none does."""
    first = re.split("[-_.@]", tag.strip().lower())[0]
    return next((each for each in LANGUAGES if each.split("-")[0] == first), "")


def of_header(accepted: str) -> str:
    """The best for `Accept-Language`."""
    wanted = []
    for each in accepted[:_MOST].split(","):
        tag, _, weight = each.partition(";q=")
        try:
            wanted.append((-float(weight or 1), of_tag(tag)))
        except ValueError:
            continue
    return next((found for weight, found in sorted(wanted, key=lambda each: each[0]) if found and weight), "en")


def of_environment(environment: Mapping[str, str]) -> str:
    """As a terminal's `LC_ALL`, `LC_MESSAGES` and `LANG` say, the first that is set."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    return of_tag(next(filter(None, (environment.get(name, "") for name in names)), "")) or "en"


@cache
def catalogue(language: str) -> Mapping[str, tuple[str, ...]]:
    """What is translated, each with its forms; nothing for English."""
    return {} if language == "en" else _read(language)[0]


def _form(language: str, count: int) -> int:
    return int(standard.c2py(_read(language)[1])(count))


@cache
def _read(language: str) -> tuple[Mapping[str, tuple[str, ...]], str]:
    # It takes 60 ms, which no English reader needs to wait for.
    from babel.messages.pofile import read_po

    with (FOLDER / f"{language}.po").open("rb") as file:
        read = read_po(file, locale=language.replace("-", "_"))
    found = {}
    for message in read:
        if message.id and message.string and not message.fuzzy:
            one = message.id if isinstance(message.id, str) else message.id[0]
            found[one] = (message.string,) if isinstance(message.string, str) else tuple(message.string)
    return found, str(read.plural_expr)
