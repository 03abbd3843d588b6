"""What a person should hear about a photo before money is spent on it."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate

from PIL import Image, ImageFilter, ImageStat

from .. import wire
from ..errors import ImageRejected, report
from ..language import Sentence
from ..reasons import Reason
from .face import Face, find_faces
from .prepare import Photo

_SMALL = 512
# Of a face, in pixels of what is sent.
_SMALL_FACE = 96
# A tenth of the pixels are brighter than this in a photo that is not too dark: 173 in the darkest sample portrait.
# The brightest tenth and the darkest one, rather than the mean: a black or a white background is no fault.
_DARK = 70
_BRIGHT = 185
# The mean of a face: 115 to 171 in the sample portraits.
_DARK_FACE, _BRIGHT_FACE = 45, 205
# Of the sharpest sixteenth, as a portrait may have a soft background. The sample portraits have 1050 and more;
# blurred with a radius of 0.6 % of the long side (3 px of 512), 55 and less.
_BLURRED = 100
# Of a face at usual light: 345 and more in the sample portraits, 34 and more with 0.2 %, 23 and less with 0.6 %.
_BLURRED_FACE, _USUAL = 30, 140
_LONG_SIDE, _FACE_SIDE = 320, 112
_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
# Upright, the sample portraits have 0.86 to 0.94, and 0.07 more than in any other turn.
_CERTAIN, _SURE, _SURER = 0.9, 0.7, 0.07
# A cut around a face is this many times its height, and has it a little above its middle; it is worth while where it
# leaves out a fifth.
_AROUND, _ABOVE, _WORTH = 3.0, 0.45, 0.8

DARK = "Very dark: a photo with more light keeps the likeness better."
BRIGHT = "Very bright: a photo with less light keeps the likeness better."
BLURRED = "Blurred: a sharp photo keeps the likeness better."
NO_FACE = "No face was found. The service gives up on such photos, after minutes."
ON_ITS_SIDE = "The photo lies on its side: turn it."
UPSIDE_DOWN = "The photo is upside down: turn it."


@dataclass(frozen=True, slots=True)
class Advice:
    """The `warnings` are in English, and `language.said` says them in another.

    None of them forbids the photo; nor does the lack of them say it is accepted.

    `faces` is how many were found. To be upright the photo needs a `turn` of 90, 180 or 270 degrees clockwise, or 0;
    `crop` is whether a cut around the face would leave out much.
    """

    warnings: tuple[str, ...]
    faces: int = 0
    turn: int = 0
    crop: bool = False


def advise(photo: Photo) -> Advice:
    """Of the JPEG that is sent. It takes 20 to 300 ms of a thread. Where it fails there are no warnings."""
    try:
        return _advise(photo)
    except Exception as error:  # noqa: BLE001
        # A portrait of which nothing can be said can still be sent.
        report(error)
        return Advice(())


def _advise(photo: Photo) -> Advice:
    with Image.open(BytesIO(photo.jpeg), formats=["JPEG"]) as image:
        picture = image.convert("RGB")
    picture, faces, turn = _upright(picture)
    found, crop = list[str](), False
    if turn:
        found.append(UPSIDE_DOWN if turn == 180 else ON_ITS_SIDE)
    if not faces:
        return Advice((NO_FACE, *_of_the_whole(picture)))
    face = faces[0]
    count = sum(each.height > face.height / 2 for each in faces)
    if count > 1:
        found.append(Sentence("{count} faces: the service may follow any of them.", count=count))
    if face.height < _SMALL_FACE:
        small = "The face is small ({height} px): a closer photo keeps the likeness better."
        found.append(Sentence(small, height=round(face.height)))
        left, top, right, bottom = around(face, picture.size)
        crop = (right - left) * (bottom - top) < _WORTH**2
    elif min(picture.size) < _SMALL:
        found.append(_small(picture))
    found += _of_the_face(picture, face)
    # Around a face that lies on its side nothing can be cut.
    return Advice(tuple(found), len(faces), turn, crop and not turn)


def faces_in(picture: Image.Image) -> list[Face]:
    """The tallest first."""
    faces = find_faces(picture) or find_faces(picture, 2 * _LONG_SIDE)
    return sorted((face for face in faces if _is_within(face, picture)), key=lambda face: -face.height)


def _is_within(face: Face, picture: Image.Image) -> bool:
    """A pixel of it at least; what lies in the padding is none."""
    across = min(face.left + face.width, picture.width) - max(face.left, 0)
    down = min(face.top + face.height, picture.height) - max(face.top, 0)
    return across >= 1 and down >= 1 and math.isfinite(face.width) and math.isfinite(face.height)


def face_of(photo: Photo) -> tuple[float, float, float, float]:
    """What `around` says of the tallest face. Raises `ImageRejected` where none is found."""
    with Image.open(BytesIO(photo.jpeg), formats=["JPEG"]) as image:
        faces = faces_in(image.convert("RGB"))
    if not faces:
        raise ImageRejected(Reason.NO_FACE)
    return around(faces[0], (photo.width, photo.height))


def around(face: Face, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A square around a face that the service would take, or what the picture has of it: shares of width and height."""
    (width, height), least = size, wire.PHOTO_SIDE + 1
    side = min(max(_AROUND * face.height, least), wire.PHOTO_RATIO * min(size))
    wide, high = min(side, width), min(side, height)
    left = min(max(0.0, face.left + face.width / 2 - wide / 2), width - wide)
    top = min(max(0.0, face.top + face.height / 2 - _ABOVE * high), height - high)
    return left / width, top / height, (left + wide) / width, (top + high) / height


def _upright(picture: Image.Image) -> tuple[Image.Image, list[Face], int]:
    """The picture as it should be seen, its faces, and by how many degrees it was turned for that."""
    faces = faces_in(picture)
    if (score := _score(faces)) >= _CERTAIN:
        return picture, faces, 0
    small = picture.copy()
    small.thumbnail((2 * _LONG_SIDE, 2 * _LONG_SIDE), reducing_gap=2.0)
    turns = {degrees: small.rotate(-degrees, expand=True) for degrees in (90, 180, 270)}
    look = find_faces if faces else faces_in
    found = {degrees: _score(look(turned)) for degrees, turned in turns.items()}
    turn = max(found, key=found.__getitem__)
    if found[turn] < max(_SURE, score + _SURER):
        return picture, faces, 0
    turned = picture.rotate(-turn, expand=True)
    return turned, faces_in(turned), turn


def _score(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


def _small(picture: Image.Image) -> str:
    small = "Small: {width} × {height} px; a photo with more pixels keeps the likeness better."
    return Sentence(small, width=picture.width, height=picture.height)


def _of_the_face(picture: Image.Image, face: Face) -> list[str]:
    # What is seen of it: what lies outside would be black.
    right, bottom = min(picture.width, face.left + face.width), min(picture.height, face.top + face.height)
    box = round(max(0, face.left)), round(max(0, face.top)), round(right), round(bottom)
    grey = picture.crop(box).convert("L").resize((_FACE_SIDE, _FACE_SIDE), Image.Resampling.BICUBIC)
    light = ImageStat.Stat(grey).mean[0]
    if light < _DARK_FACE:
        return [DARK]
    if light > _BRIGHT_FACE:
        return [BRIGHT]
    # A small one is soft when it is made larger, and nothing is sharp with little light.
    sharpness = _variance(grey.filter(_LAPLACIAN)) * (_USUAL / light) ** 2
    return [BLURRED] if face.height >= _SMALL_FACE and sharpness < _BLURRED_FACE else []


def _of_the_whole(picture: Image.Image) -> list[str]:
    """Where there is no face to be judged."""
    scale = _LONG_SIDE / max(picture.size)
    grey = picture.convert("L").resize([round(side * scale) for side in picture.size], Image.Resampling.BICUBIC)
    if _percentile(grey, 90) < _DARK:
        return [DARK]
    if _percentile(grey, 10) > _BRIGHT:
        return [BRIGHT]
    # Without light nothing looks sharp.
    return [BLURRED] if _sharpness(grey) < _BLURRED else []


def _percentile(grey: Image.Image, percent: int) -> int:
    darker = list(accumulate(grey.histogram()))
    return bisect_left(darker, darker[-1] * percent / 100)


def _sharpness(grey: Image.Image) -> float:
    edges = grey.filter(_LAPLACIAN)
    across, down = [edges.width * n // 4 for n in range(5)], [edges.height * n // 4 for n in range(5)]
    tiles = [edges.crop((across[x], down[y], across[x + 1], down[y + 1])) for x in range(4) for y in range(4)]
    return max(_variance(tile) for tile in tiles)


def _variance(edges: Image.Image) -> float:
    # The filter leaves the outermost pixels as they were.
    return ImageStat.Stat(edges.crop((1, 1, edges.width - 1, edges.height - 1))).var[0]
