"""What a page shows before anybody has made a clip: finished clips with their portraits, from files beside it."""

import json
import logging
from dataclasses import dataclass
from math import inf
from pathlib import Path

from PIL import Image

from ..clip.boxes import NotWhole, check_whole
from ..clip.example import CLIP, EXAMPLES, FACTS, PORTRAIT, POSTER
from ..photo.pixels import DAMAGE
from ..text import is_slug

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A finished clip, `seconds` long, with what it was made of."""

    name: str
    clip: Path
    poster: Path
    portrait: Path
    scene: str
    made_by: str
    seconds: float
    simulated: bool


def examples(folder: Path = EXAMPLES) -> list[Example]:
    """Those to be shown: real ones, or if there are none, simulated ones.

    They are sorted by the `date` in their facts, the oldest first, then by name. A damaged one is left out, with a
    warning in the log.
    """
    found: list[tuple[str, str, Example]] = []
    for facts in folder.glob(f"*/{FACTS}"):
        # What `pin` has not finished has a name that is none.
        if is_slug(name := facts.parent.name):
            try:
                date, example = _read(facts.parent)
                found.append((date, name, example))
            except (*DAMAGE, NotWhole) as error:
                _log.warning("the example %s is left out: %s: %s", name, type(error).__name__, error)
    listed = [example for _, _, example in sorted(found, key=lambda each: each[:2])]
    return [example for example in listed if not example.simulated] or listed


def _read(folder: Path) -> tuple[str, Example]:
    clip, poster, portrait = (folder / name for name in (CLIP, POSTER, PORTRAIT))
    match json.loads((folder / FACTS).read_bytes()):
        case {
            "scene": str(scene), "made_by": str(made_by), "seconds": int() | float() as seconds,
            "simulated": bool(simulated), "date": str(date),
        } if 0 < seconds < inf:  # fmt: skip
            pass
        case _:
            raise ValueError(f"{FACTS} lacks a fact, or has one of another kind")
    check_whole(clip)
    for picture in (poster, portrait):
        with Image.open(picture, formats=("JPEG",)) as image:
            image.load()
    return date, Example(
        name=folder.name, clip=clip, poster=poster, portrait=portrait,
        scene=scene, made_by=made_by, seconds=float(seconds), simulated=simulated,
    )  # fmt: skip
