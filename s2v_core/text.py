"""Text from people and from outside: the prompt as it is sent, and one plain line of what a stranger wrote."""

import re
import unicodedata

from .errors import InputRejected, PromptRejected
from .reasons import Reason

PROMPT_CHARACTERS = 2000
SCENES = 6
PROMPT_WORDS = 200  # 302.AI's advice, which nothing enforces
_SLUG_CHARACTERS = 60

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


def slug(text: str) -> str:
    """The first six words in plain letters, for a name: `she-looks-up`; empty if there are none."""
    # An é is an e and its accent.
    letters = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text.lower()))
    return "-".join(re.findall(r"[a-z0-9]+", letters)[:6])[:_SLUG_CHARACTERS].strip("-")


def is_slug(text: str) -> bool:
    return len(text) <= _SLUG_CHARACTERS and bool(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", text))


def scenes_of(text: str) -> list[str]:
    """The scenes in a field that has one a line, each once; one empty scene if there is none."""
    lines = (line.strip() for line in text.splitlines())
    return list(dict.fromkeys(filter(None, lines))) or [""]


def in_a_line(scene: str) -> str:
    """A scene for a field that has one a line."""
    return " ".join(filter(None, (line.strip() for line in scene.splitlines())))


def check_prompt(prompt: object) -> str:
    """The prompt as it is sent, the same however it was typed. Raises `PromptRejected`."""
    text = prompt.replace("\r\n", "\n").translate(_BREAKS) if isinstance(prompt, str) else ""
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    # At most four characters become one; long runs of marks take the square of their length.
    if len(text) <= 4 * PROMPT_CHARACTERS:
        text = unicodedata.normalize("NFC", text)
    text = text.strip(_AROUND)
    if not shows(text):
        raise PromptRejected(Reason.PROMPT_EMPTY)
    if len(text) > PROMPT_CHARACTERS:
        raise PromptRejected(Reason.PROMPT_LONG, {"count": len(text), "most": PROMPT_CHARACTERS})
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
        raise InputRejected(Reason.OPTIMIZER)
    return found
