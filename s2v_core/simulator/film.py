"""What the simulator films: a slow camera move over the photo, the prompt as a caption, SIMULATED burnt in."""

import bisect
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import cos, pi
from pathlib import Path
from typing import TypeAlias

import av
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from .. import wire
from ..clip.encode import join, split, write
from ..text import plain

_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The camera moves over a canvas that is larger than a frame, so that nothing is ever scaled up twice.
_SIZE = wire.CLIP_SIZE
_CANVAS = (1472, 828)
_FPS = 25
_BLACK, _GREY, _WHITE = 16, 128, 235  # a video's, not a picture's
# Looked for, in this order, only where the built-in font lacks a character: it has little more than ASCII.
_FONTS = (
    "DejaVuSans-Bold.ttf", "NotoSansCJK-Bold.ttc", "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "PingFang.ttc",
    "Hiragino Sans GB.ttc", "Arial Unicode.ttf", "msyhbd.ttc", "msyh.ttc", "malgun.ttf", "arialbd.ttf",
)  # fmt: skip


def film(photo: Path, prompt: str, clip: Path) -> None:
    """Make the clip of an upright JPEG; seconds of work for one core."""
    with Image.open(photo) as picture:
        canvas = _canvas(picture)
    write(_frames(canvas, *overlay(prompt)), clip, fps=_FPS)


def _frames(canvas: Image.Image, ink: Image.Image, shade: Image.Image) -> Iterator[av.VideoFrame]:
    # On a video frame's planes, which hold half of what RGB does.
    planes = split(canvas)
    layers: list[tuple[Image.Image | int, Image.Image]] = [(ink, shade), *[(_GREY, shade.reduce(2))] * 2]
    last = wire.CLIP_SECONDS * _FPS - 1
    for number in range(last + 1):
        eased = (number / last) ** 2 * (3 - 2 * number / last)
        width = 1440 - 160 * eased
        left, top = (_CANVAS[0] - width) / 2 - 12 + 24 * eased, 6 + 12 * eased
        box = left, top, left + width, top + width * _SIZE[1] / _SIZE[0]
        frame = []
        for plane, (paint, mask) in zip(planes, layers, strict=True):
            x, y, right, bottom = (edge * plane.width / _CANVAS[0] for edge in box)
            frame.append(plane.resize(mask.size, Image.Resampling.HAMMING, (x, y, right, bottom)))
            frame[-1].paste(paint, None, mask)
        yield join(frame)


def _canvas(photo: Image.Image) -> Image.Image:
    """The photo large, its edges melting into its own blur; of a tall one the upper part, where the face is."""
    width, height = _CANVAS
    backdrop = ImageOps.fit(photo, (184, 104), centering=(0.5, 0.3)).filter(ImageFilter.GaussianBlur(8))
    canvas = backdrop.point(lambda value: value * 0.62).resize(_CANVAS, Image.Resampling.BICUBIC)
    contain, cover = sorted((width / photo.width, height / photo.height))
    scale = min(contain * (cover / contain) ** 0.4, 1.3 * height / photo.height)
    sharp = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    beside, below = width - sharp.width, height - sharp.height
    feather = Image.new("L", sharp.size)
    inset_x, inset_y = (64 if free > 0 else 0 for free in (beside, below))
    feather.paste(255, (inset_x, inset_y, sharp.width - inset_x, sharp.height - inset_y))
    feather = feather.filter(ImageFilter.GaussianBlur(29))
    canvas.paste(sharp, (beside // 2, round(below * (0.5 if below > 0 else 0.05))), feather)
    return canvas


def overlay(prompt: str) -> tuple[Image.Image, Image.Image]:
    """What lies over every frame, pill, scrim and caption: its brightness, and its opacity."""
    shade, letters = Image.new("L", _SIZE), Image.new("L", _SIZE)
    draw = ImageDraw.Draw(letters)
    pill = Image.new("L", (760, 160))
    ImageDraw.Draw(pill).rounded_rectangle((0, 0, 759, 159), 80, fill=165)
    shade.paste(pill.reduce(4), (_SIZE[0] - 222, 32))
    label = "S I M U L A T E D"
    draw.text((_SIZE[0] - 127, 52), label, 255, ImageFont.load_default(19), "mm", stroke_width=0.4)

    font, text = lettering(prompt, 34)
    lines = _wrap(text, font, 900)
    top = _SIZE[1] - 40 - 46 * len(lines)
    if lines:
        scrim = Image.linear_gradient("L").resize((_SIZE[0], _SIZE[1] - top + 160))
        shade.paste(scrim.point([round(200 * (1 - cos(pi * value / 255)) / 2) for value in range(256)]), (0, top - 160))
    for number, line in enumerate(lines):
        draw.text((48, top + 46 * number), line, 255, font, stroke_width=0.5)
    ink = Image.new("L", _SIZE, _BLACK)
    ink.paste(_WHITE, mask=letters)
    return ink, ImageChops.lighter(shade, letters)


def lettering(prompt: str, size: float, *, fonts: Sequence[str] = _FONTS) -> tuple[_Font, str]:
    """The font that can draw most of the text, and what it can draw; an é becomes an e where need be."""
    text = plain(prompt, 400)
    best, most = ImageFont.load_default(size), -1
    for name in ("", *fonts):
        with suppress(OSError):
            font = ImageFont.truetype(name, size) if name else best
            can_draw = sum(_draws(font, c) for c in text)
            if can_draw > most:
                best, most = font, can_draw
            if can_draw == len(text):
                break
    drawable = (c if _draws(best, c) else unicodedata.normalize("NFKD", c)[0] for c in text)
    return best, " ".join("".join(c for c in drawable if _draws(best, c)).split())


def _draws(font: _Font, character: str) -> bool:
    drawn = bytes(font.getmask(character))
    return character == " " or (any(drawn) and drawn != bytes(font.getmask("\U0010ffff")))


def _wrap(text: str, font: _Font, width: float) -> list[str]:
    """At most three lines; the last one says with an ellipsis that there is more."""
    lines: list[str] = []
    while text and len(lines) < 3:
        fits = bisect.bisect_right(range(1, len(text) + 1), width, key=lambda n: font.getlength(text[:n]))
        space = text.rfind(" ", 0, fits + 1) if fits < len(text) else -1
        end = space if space > fits // 2 else max(fits, 1)
        lines.append(text[:end])
        text = text[end:].lstrip()
    if text:
        while font.getlength(lines[-1] + "…") > width:
            lines[-1] = lines[-1][:-1]
        lines[-1] = lines[-1].rstrip(" ,.;:") + "…"
    return lines
