"""What the simulator films: the portrait, whole on its own blur, a camera that breathes, SIMULATED burnt in."""

from collections.abc import Iterator
from math import cos, pi, sin
from pathlib import Path

import av
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from .. import wire
from ..clip.encode import join, split, write

# The camera moves over a canvas that is larger than a frame, so that nothing is ever scaled up twice. What lies within
# the middle of it is in every frame.
_SIZE = wire.CLIP_SIZE
_CANVAS, _MIDDLE = (1472, 828), (1224, 672)
_FPS = 25
_BLACK, _GREY, _WHITE = 16, 128, 235  # a video's, not a picture's
# Even numbers, for the planes of half the size.
_LABEL, _EDGE = (164, 36), 16


def film(photo: Path, clip: Path) -> None:
    """Make the clip of an upright JPEG; seconds of work for one core. Its last frame leads back to its first."""
    with Image.open(photo) as picture:
        canvas = _canvas(picture)
    write(_frames(canvas), clip, fps=_FPS)


def _frames(canvas: Image.Image) -> Iterator[av.VideoFrame]:
    # On a video frame's planes, which hold half of what RGB does.
    ink, shade = _label()
    layers: list[tuple[Image.Image | int, Image.Image]] = [(ink, shade), *[(_GREY, shade.reduce(2))] * 2]
    planes = list(zip(split(canvas), layers, (1, 2, 2), strict=True))
    corner = _SIZE[0] - _EDGE - _LABEL[0], _EDGE
    count = wire.CLIP_SECONDS * _FPS
    for number in range(count):
        turn = 2 * pi * number / count
        width = 1360 + 80 * cos(turn)
        height = width * _SIZE[1] / _SIZE[0]
        left, top = (_CANVAS[0] - width) / 2 + 12 * sin(turn), (_CANVAS[1] - height) / 2
        frame = []
        for plane, (paint, mask), half in planes:
            box = left / half, top / half, (left + width) / half, (top + height) / half
            frame.append(plane.resize((_SIZE[0] // half, _SIZE[1] // half), Image.Resampling.HAMMING, box))
            frame[-1].paste(paint, (corner[0] // half, corner[1] // half), mask)
        yield join(frame)


def _canvas(photo: Image.Image) -> Image.Image:
    backdrop = ImageOps.fit(photo, (184, 104), centering=(0.5, 0.3)).filter(ImageFilter.GaussianBlur(8))
    canvas = backdrop.point(lambda value: value * 0.62).resize(_CANVAS, Image.Resampling.BICUBIC)
    sharp = ImageOps.contain(photo, _MIDDLE, Image.Resampling.LANCZOS)
    left, top = (_CANVAS[0] - sharp.width) // 2, (_CANVAS[1] - sharp.height) // 2
    shadow = Image.new("L", _CANVAS)
    shadow.paste(90, (left, top, left + sharp.width, top + sharp.height))
    canvas.paste("black", mask=shadow.filter(ImageFilter.GaussianBlur(18)))
    canvas.paste(sharp, (left, top))
    return canvas


def _label() -> tuple[Image.Image, Image.Image]:
    """What lies in the corner of every frame: its brightness, and its opacity."""
    width, height = _LABEL
    pill = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(pill).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), 2 * height, fill=190)
    letters = Image.new("L", _LABEL)
    font = ImageFont.load_default(23)
    ImageDraw.Draw(letters).text((width / 2, height / 2), "SIMULATED", 255, font, "mm", stroke_width=0.5)
    ink = Image.new("L", _LABEL, _BLACK)
    ink.paste(_WHITE, mask=letters)
    return ink, ImageChops.lighter(pill.reduce(4), letters)
