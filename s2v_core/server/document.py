"""ASGI middleware that puts a preview of our own into Gradio's HTML, and compresses it."""

import asyncio
import gzip
import hashlib
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..language import gettext, language, read_in
from .requests import whole_answer
from .translation import Translation, chosen

PICTURE = "/static/thumbnail.jpg"
_CHARSET = '<meta charset="utf-8" />'
# Below a path, this leads past the page.
_MANIFEST = 'href="/manifest.json"'
_GRADIOS = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
# As Gradio understood the request: the guard has removed from it the names that are not ours.
_ROOT = re.compile(r'const root = ("[^"]*");')
_PREVIEW = """
		<title>{title}</title>
		<meta name="description" content="{description}" />
		<meta property="og:type" content="website" />
		<meta property="og:url" content="{root}/" />
		<meta property="og:title" content="{title}" />
		<meta property="og:description" content="{description}" />
		<meta property="og:image" content="{root}{picture}" />
		<meta name="twitter:card" content="summary_large_image" />"""


_EARLY = {
    "js": '<link rel="modulepreload" href="./assets/{}" />',
    "css": '<link rel="preload" as="style" crossorigin href="./assets/{}" />',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What others show of the page where it is linked; `picture` is a JPEG."""

    title: str
    description: str
    picture: Path


def sheet_path(style: str) -> str:
    """Returns where a style sheet is served: a browser keeps it until its content is another."""
    return f"/assets/page-{hashlib.sha256(style.encode()).hexdigest()[:8]}.css"


class Document:
    """`sheet` is the path of the page's style sheet; `early` are the names of what Gradio loads one by one.

    A browser that hears of those at once needs no round trip for each that another one names.
    """

    def __init__(
        self, app: ASGIApp, preview: Preview, sheet: str, early: Sequence[str], translation: Translation
    ) -> None:
        self._app, self._preview, self._sheet, self._translation = app, preview, sheet, translation
        self._early = "".join(_EARLY[name.rpartition(".")[2]].format(name) for name in early)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (scope["type"], scope.get("method"), scope.get("path")) != ("http", "GET", "/"):
            await self._app(scope, receive, send)
            return
        status, headers, body = await whole_answer(self._app, scope)
        with read_in(chosen(scope)):
            ours = self._ours(self._translation.document(body.decode())).encode()
            kept = {"Content-Type": headers.get("content-type", ""), "Content-Language": language()}
        kept["Vary"] = "Accept-Encoding, Accept-Language, Cookie"
        if "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            kept["Content-Encoding"] = "gzip"
            ours = await asyncio.to_thread(gzip.compress, ours, 6)
        await Response(ours, status, kept)(scope, receive, send)

    def _ours(self, document: str) -> str:
        found = _ROOT.search(document)
        facts = {
            "title": self._preview.title,
            "description": gettext(self._preview.description),
            "root": json.loads(found[1]) if found else "",
            "picture": PICTURE,
        }
        preview = _PREVIEW.format_map({name: html.escape(fact) for name, fact in facts.items()})
        # After Gradio's own, and without waiting for its scripts.
        preview += self._early
        document = document.replace("</head>", f'<link rel="stylesheet" href=".{self._sheet}" /></head>', 1)
        document = document.replace(_MANIFEST, _MANIFEST.replace("/", "./", 1), 1)
        return _GRADIOS.sub("", document).replace(_CHARSET, _CHARSET + preview, 1)
