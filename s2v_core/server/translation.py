"""Gradio's page in the reader's language: what it is told to draw, and the words of its scripts."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from ..language import LANGUAGES, catalogue, gettext, language, of_header

COOKIE = "s2v-language"
# Of a component: what a person sees or hears of it.
_SHOWN = ("label", "info", "placeholder", "alt_text", "value", "choices", "html_template")
_MARKED = re.compile(r'data-say="([^"]*)"([^<>]*)>[^<>]*<')
_NAMED = re.compile(r'data-say-([a-z-]+)="([^"]*)" \1="[^"]*"')
_SAYS = re.compile(r'\bsays?\((?:[^,"()]+, )?"((?:[^"\\]|\\.)*)"')
# In Gradio's own words, too, which are chosen by the browser's language.
_SAY = (Path(__file__).parent.parent.parent / "assets" / "say.js").read_text("utf-8")
_CONFIG = re.compile(r"window\.gradio_config = (\{.*?\});</script>", re.DOTALL)


def chosen(scope: Scope) -> str:
    """The language of a page: as its address says, or what was chosen before, or the browser's."""
    headers = Headers(scope=scope)
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("lang", [""])[0]
    kept = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    return next((each for each in (asked, kept) if each in LANGUAGES), "") or of_header(
        headers.get("accept-language", "")
    )


def marked(template: str) -> str:
    """A template whose elements with `data-say` keep the English of their text, or of the named attributes, in it."""
    template = re.sub(r" data-say>([^<>]+)<", r' data-say="\1">\1<', template)
    return re.sub(r" data-say=([a-z-]+) \1=\"([^\"]*)\"", r' data-say-\1="\2" \1="\2"', template)


def translated(props: Mapping[str, Any]) -> dict[str, Any]:
    """Those properties of a component that are other in the reader's language."""
    said = {name: in_words(props[name]) for name in _SHOWN if name in props}
    return {name: value for name, value in said.items() if value != props[name]}


def in_words(value: Any) -> Any:
    """Whatever has sentences in it, with those in the reader's language."""
    match value:
        case str() if "data-say" in value:
            text = _MARKED.sub(lambda found: f'data-say="{found[1]}"{found[2]}>{gettext(found[1])}<', value)
            return _NAMED.sub(lambda found: f'data-say-{found[1]}="{found[2]}" {found[1]}="{gettext(found[2])}"', text)
        case str():
            return gettext(value) if value else value
        case dict():
            return {name: in_words(each) for name, each in value.items()}
        case list() | tuple():
            return [in_words(each) for each in value]
    return value


def words_of(scripts: Iterable[Path]) -> list[str]:
    """The sentences that scripts and templates say by themselves."""
    texts = [script.read_text("utf-8") for script in scripts]
    found = [json.loads(f'"{each}"') for text in texts for each in _SAYS.findall(text)]
    templates = [marked(text) for text in texts]
    found += [each for text in templates for each in re.findall(r'data-say(?:-[a-z-]+)?="([^"]*)"', text)]
    return sorted(set(found))


def words(sentences: Iterable[str]) -> dict[str, str]:
    """Those of these that are translated; of a plural the last form, as these languages have one alone."""
    known = catalogue(language())
    return {each: known[each][-1] for each in sentences if each in known}


@dataclass(frozen=True)
class Translation:
    """`said` is what scripts and templates say by themselves; `facts` makes, by `elem_id`, what has facts in it."""

    said: Sequence[str]
    facts: Callable[[], Mapping[str, Mapping[str, Any]]]

    def document(self, document: str) -> str:
        """Gradio's HTML as the reader should see it."""
        head = f"<script>window.words = {as_script(words(self.said))};{_SAY}</script></head>"
        document = document.replace("</head>", head, 1).replace('lang="en"', f'lang="{language()}"', 1)
        found = _CONFIG.search(document)
        if language() == "en" or not found:
            return document
        config, facts = json.loads(found[1]), self.facts()
        for component in config["components"]:
            props = component["props"]
            props |= translated(props)
            props |= facts.get(props.get("elem_id", ""), {})
        return document[: found.start(1)] + as_script(config) + document[found.end(1) :]


def as_script(value: Any) -> str:
    """JSON that ends no script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return (
        text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    )
