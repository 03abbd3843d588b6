"""What is said to people, found in the code: each must be in every catalogue."""

import ast
import re
from collections.abc import Iterator

from s2v_core.commands import files
from s2v_core.errors import Busy, ChargeUnknown, Failed, NotDownloaded, Refused
from s2v_core.jobs.model import Stage, State
from s2v_core.page import actions, cards
from s2v_core.page.examples import examples
from s2v_core.photo import advice
from s2v_core.reasons import _WORDS
from s2v_core.server.limits import USUAL
from s2v_core.server.rates import Rates
from s2v_core.server.signals import AWAITED
from s2v_core.server.translation import words_of

from .forks import ROOT

# Of the page, where it is linked.
PREVIEW = "One portrait and one sentence become a six-second clip of that person."
# Why something went wrong, as a part of a sentence.
_WHY = {"NotWhole": [0], "NotXmp": [0], "NotPublic": [0]}
# Which of its arguments are sentences.
_SAYS = {"gettext": [0], "ngettext": [0, 1], "Sentence": [0], "HttpRefusal": [1], "command": [1], **_WHY}
# What can be tried on the page.
_TRIED = {"SAMPLES", "OWN", "CHIPS"}
# What it says of our commands, and of mistakes in them.
OF_ARGPARSE = (
    "usage: ", "positional arguments", "options", "show this help message and exit", "%(prog)s: error: %(message)s\n",
    "argument %(argument_name)s: %(message)s", "the following arguments are required: %s", "unrecognized arguments: %s",
    "expected one argument", "invalid %(type)s value: %(value)r", "ignored explicit argument %r",
    "invalid choice: %(value)r (choose from %(choices)s)",
    "ambiguous option: %(option)s could match %(matches)s",
)  # fmt: skip
_DRAWN = {"label", "info", "placeholder", "alt_text"}
_PLURAL = re.compile(r'says\([^"]*"([^"]*)", "([^"]*)"\)')
_PARTS = [ROOT / "assets" / "page.js", *sorted((ROOT / "assets" / "parts").glob("*.*s"))]


def in_code() -> set[str | tuple[str, str]]:
    """The sentences of code, tables, templates and scripts in English; of a plural, both of its forms."""
    found, plurals = set[str](), set[tuple[str, str]]()
    for path in (ROOT / "app.py", *(ROOT / "s2v_core").rglob("*.py")):
        module = ast.parse(path.read_text("utf-8"))
        found |= set(_in_module(module, drawn=path.name == "app.py"))
        plurals |= set(_plurals(module))
    for path in _PARTS:
        plurals |= set(_PLURAL.findall(path.read_text("utf-8")))
    found |= {each.scene for each in examples()}
    templates = (ROOT / "assets" / "parts").glob("*.html")
    found |= set(_tables()) | set(words_of([*_PARTS, *templates]))
    alone = found - {form for forms in plurals for form in forms}
    return {each for each in alone if _has_words(each)} | plurals


def _plurals(module: ast.Module) -> Iterator[tuple[str, str]]:
    for scope in ast.walk(module):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ngettext":
                    one, several = (list(_texts(each, _assigned(scope))) for each in node.args[:2])
                    yield from zip(one, several, strict=True)


def _has_words(text: str) -> bool:
    return any(each.isalpha() for each in text) and not text.startswith(("http", "s2v_", "#"))


def _tables() -> Iterator[str]:
    for pair in _WORDS.values():
        yield from pair
    yield from cards._TITLES.values()
    yield from State
    for buttons in [*actions._OF.values(), [actions.AGAIN, actions.OWN_KEY]]:
        yield from (label for label, _ in buttons)
    for name in ("DARK", "BRIGHT", "BLURRED", "NO_FACE", "ON_ITS_SIDE", "UPSIDE_DOWN"):
        yield getattr(advice, name)
    yield from (cls.usual for cls in (Refused, Busy, ChargeUnknown, Failed, NotDownloaded))
    for kind, (_, what) in Rates(USUAL)._places.items():
        yield from (kind, what)
    yield from ("upload", "error", "request", "requests are open", *Stage)
    yield from files._SAID
    yield from ("marks", "not read", "video", "bytes", PREVIEW, "a video", "a QuickTime video", "it cannot be read")
    yield from ("Try again", AWAITED, *OF_ARGPARSE)
    yield from cards._TERMS


def _in_module(module: ast.Module, *, drawn: bool) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in _TRIED:
            texts = (each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant))
            yield from (text for text in texts if not text.endswith((".png", ".jpg")))
    for scope in ast.walk(module):
        if isinstance(scope, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assigned = _assigned(scope)
            for node in ast.walk(scope):
                if isinstance(node, ast.Call):
                    for argument in _said_by(node, drawn=drawn):
                        yield from _texts(argument, assigned)


def _said_by(call: ast.Call, *, drawn: bool) -> list[ast.expr]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    said = [call.args[place] for place in _SAYS.get(name, []) if place < len(call.args)]
    if name == "changes" or (name == "append" and getattr(getattr(call.func, "value", None), "id", "") == "changes"):
        said += call.args
    if name == "add_argument":
        said += [word.value for word in call.keywords if word.arg == "help"]
    if drawn and isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "gr":
        said += [word.value for word in call.keywords if word.arg in _DRAWN]
        said += call.args[:1] if name in {"Button", "Accordion", "HTML", "DownloadButton"} else []
    return said


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
    return found


def _texts(node: ast.expr, assigned: dict[str, list[ast.expr]]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from _texts(node.body, assigned)
            yield from _texts(node.orelse, assigned)
        case ast.Name(id=name) if name in assigned:
            for value in assigned.pop(name):
                yield from _texts(value, assigned)
