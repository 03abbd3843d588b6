"""What the simulator films: a slow camera move over the photo, with SIMULATED burnt in."""

from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from .. import wire
from ..clip.encode import join, split, write

# The camera moves over a canvas that is larger than a frame, so that nothing is ever scaled up twice.
_SIZE = wire.CLIP_SIZE
_CANVAS = (1472, 828)
_FPS = 25
_BLACK, _GREY, _WHITE = 16, 128, 235  # a video's, not a picture's
# Even numbers, for the planes of half the size.
_LABEL, _EDGE = (164, 36), 16


def film(photo: Path, clip: Path) -> None:
    """Make the clip of an upright JPEG; seconds of work for one core."""
    with Image.open(photo) as picture:
        canvas = _canvas(picture)
    write(_frames(canvas), clip, fps=_FPS)


def _frames(canvas: Image.Image) -> Iterator[av.VideoFrame]:
    # On a video frame's planes, which hold half of what RGB does.
    ink, shade = _label()
    layers: list[tuple[Image.Image | int, Image.Image]] = [(ink, shade), *[(_GREY, shade.reduce(2))] * 2]
    planes = list(zip(split(canvas), layers, (1, 2, 2), strict=True))
    corner = _SIZE[0] - _EDGE - _LABEL[0], _EDGE
    last = wire.CLIP_SECONDS * _FPS - 1
    for number in range(last + 1):
        eased = (number / last) ** 2 * (3 - 2 * number / last)
        width = 1440 - 160 * eased
        height = width * _SIZE[1] / _SIZE[0]
        left, top = (_CANVAS[0] - width) / 2 - 12 + 24 * eased, 6 + 12 * eased
        frame = []
        for plane, (paint, mask), half in planes:
            box = left / half, top / half, (left + width) / half, (top + height) / half
            frame.append(plane.resize((_SIZE[0] // half, _SIZE[1] // half), Image.Resampling.HAMMING, box))
            frame[-1].paste(paint, (corner[0] // half, corner[1] // half), mask)
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
