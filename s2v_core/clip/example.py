"""An example: a finished clip made small, its poster, its portrait and its facts, in a folder of their own."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..atomic import atomic_write, temporary_for
from .pictures import NotAClip, printed

CLIP, POSTER, PORTRAIT, FACTS = "clip.mp4", "poster.jpg", "portrait.jpg", "example.json"
CLIP_BYTES, POSTER_BYTES, PORTRAIT_BYTES = 400_000, 40_000, 60_000
# The shorter side: it can be used as a portrait again.
_PORTRAIT_SIDE = 512
_ROOT = Path(__file__).parent.parent.parent
EXAMPLES = _ROOT / "assets" / "examples"


def make(
    folder: Path,
    *,
    clip: Path,
    portrait: Path,
    facts: Mapping[str, object],
    marks: bytes = b"",
    timeout_seconds: float = 120.0,
) -> None:
    """Make the folder, all of it or nothing; the clip's length joins the `facts` as `seconds`, its `marks` the clip.

    The clip is decoded in a process of its own, with bounds. Raises `NotAClip`, `FileExistsError` if the folder is
    there, and `OSError` if it cannot be written or the portrait cannot be read.
    """
    try:
        command = "-m", "s2v_core.clip.shrink", clip.absolute()
        line_bytes = 2 * CLIP_BYTES
        shrinking = printed(*command, lines=3, most_bytes=line_bytes, seconds=timeout_seconds, folder=_ROOT)
        small, poster, seconds = asyncio.run(shrinking)
        told = {**facts, "seconds": float(seconds)}
    except (TimeoutError, ValueError) as error:
        raise NotAClip(f"{clip.name} gives no example ({type(error).__name__}).") from None
    words = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    parts = {CLIP: small + marks, POSTER: poster, PORTRAIT: _portrait(portrait), FACTS: words.encode()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    _place(folder, parts)


def _place(folder: Path, parts: Mapping[str, bytes]) -> None:
    beside = temporary_for(folder)
    try:
        beside.mkdir()
        for name, data in parts.items():
            with atomic_write(beside / name) as part:
                part.write_bytes(data)
        # An empty folder would be replaced.
        if folder.exists():
            raise FileExistsError(folder)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _portrait(photo: Path) -> bytes:
    with Image.open(photo, formats=("JPEG",)) as image:
        part = _PORTRAIT_SIDE / min(image.size)
        image.thumbnail((round(part * image.width), round(part * image.height)), reducing_gap=2.0)
        return small_jpeg(image, PORTRAIT_BYTES)


def small_jpeg(picture: Image.Image, most_bytes: int) -> bytes:
    """In the best quality that fits; one of 640 × 360 px always does."""
    out = BytesIO()
    for quality in range(88, 0, -6):
        out = BytesIO()
        picture.convert("RGB").save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= most_bytes:
            break
    return out.getvalue()
