"""Every event of a page ends in words, whatever goes wrong in it or around it."""

import os
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ImageRejected, S2VError, report
from ..language import of_header, read_in
from ..reasons import Reason


def end_in_words(
    blocks: Any,
    *,
    folder: Path,
    outputs: Sequence[Any],
    card: Callable[[Exception, Any, Any], Awaitable[dict[Any, Any]]],
    as_error: Callable[[Exception], Exception],
) -> None:
    """Answer an event of a `gr.Blocks` that failed with `card`, made of the error, the event and its session.

    The card's `outputs` become outputs of every event that there is by now. A program gets `as_error` instead.
    Uploads are looked for in `folder` alone.
    """
    for event in blocks.fns.values():
        if event.fn and event.api_visibility != "public":
            event.outputs = [*event.outputs, *(each for each in outputs if each not in event.outputs)]
    usual, within = blocks.process_api, os.path.abspath(folder)

    async def process_api(block_fn: Any, inputs: list[Any], **around: Any) -> dict[str, Any]:
        # Inputs at the end may be left out: Gradio knows their defaults, and does not fill them in.
        inputs = [*inputs, *(block.value for block in block_fn.inputs[len(inputs) :])]
        # Of an event that waited in a queue, the request was another's task.
        told = getattr(around.get("request"), "headers", {})
        with read_in(of_header(told.get("accept-language", ""))):
            return await answered(block_fn, inputs, **around)

    async def answered(block_fn: Any, inputs: list[Any], **around: Any) -> dict[str, Any]:
        try:
            _check_files(inputs, within)
            return dict(await usual(block_fn, inputs, **around))
        # Whatever it was: a click that nothing answers leaves a person with nothing to go on.
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, S2VError):
                report(error)
            if block_fn.api_visibility == "public":
                raise as_error(error) from None
            blocks._drop_run_streams(around["session_hash"], around["iterator"])
            instead = copy(block_fn)
            instead.fn = partial(card, error, block_fn, around["state"])
            instead.inputs, instead.input_keyword_names = [], []
            return dict(await usual(instead, [], **around | {"iterator": None}))

    blocks.process_api = process_api


def _check_files(inputs: list[Any], folder: str) -> None:
    """Gradio opens a file of any name, and fetches a URL, where an event has something like an upload in it."""
    left: list[Any] = [inputs]
    while left:
        match left.pop():
            case {"path": path} if not (isinstance(path, str) and Path(os.path.abspath(path)).is_relative_to(folder)):
                raise ImageRejected(Reason.NOT_UPLOADED)
            case dict() as found:
                left += found.values()
            case list() as found:
                left += found
