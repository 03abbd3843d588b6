"""A stripped photo → its pixels → the JPEG that is sent: upright, sRGB, on white, small enough."""

import hashlib
import math
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageChops, ImageCms, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from .. import wire
from ..errors import ImageRejected
from ..reasons import Reason
from .container import PIXELS, Kind, StrippedPhoto
from .exif import orientation_and_location

LONG_SIDE = 2048
# As base64 with the longest prompt beside it, this keeps the body under 900 kB.
JPEG_BYTES = 640_000
_QUALITIES = (92, 88, 84, 79, 73)

# Each reader is named, rather than asked of `Image.open`, so that no other decoder ever sees the bytes.
_READERS: dict[Kind, type[ImageFile.ImageFile]] = {"JPEG": JpegImageFile, "PNG": PngImageFile, "WebP": WebPImageFile}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_ON_THE_SIDE = {5, 6, 7, 8}
# The orientation of a picture that is turned by a quarter more.
_CLOCKWISE = {1: 6, 6: 3, 3: 8, 8: 1, 2: 7, 7: 4, 4: 5, 5: 2}
Window: TypeAlias = tuple[float, float, float, float]
# What Pillow raises over damaged files.
DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, EOFError, RuntimeError,
    AssertionError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def render(
    parts: StrippedPhoto, kind: Kind, *, turn: int = 0, window: Window | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """The JPEG, cropped where it is too wide or too tall, and what was changed. Raises `ImageRejected`.

    It is turned by so many degrees clockwise, in quarters, from how it is meant to be seen; then only the `window` of
    it is kept, as shares of its width and height.
    """
    orientation, _ = orientation_and_location(parts.exif)
    for _ in range(turn // 90):
        orientation = _CLOCKWISE.get(orientation, 6)
    try:
        seen = b""
        if parts.broken_off:
            with _decoded(parts.closed_otherwise(), kind, parts, orientation, window) as image:
                seen = _digest(image)
        with _decoded(parts.pixels, kind, parts, orientation, window) as image:
            if seen and seen != _digest(image):
                raise ImageRejected(Reason.PHOTO_DAMAGED)
            return _made(image, parts, orientation, window)
    except DAMAGE:
        raise ImageRejected(Reason.PHOTO_DAMAGED) from None


def thumbnail(jpeg: Path, side: int = 320) -> bytes:
    """One of our own JPEGs, small. Raises `OSError` where it is not there."""
    with Image.open(jpeg, formats=("JPEG",)) as image:
        image.thumbnail((side, side), reducing_gap=2.0)
        return _encode(image)


def _decoded(
    data: bytes, kind: Kind, parts: StrippedPhoto, orientation: int, window: Window | None
) -> ImageFile.ImageFile:
    image = _READERS[kind](BytesIO(data))
    if image.size != (parts.width, parts.height):
        raise ImageRejected(Reason.PHOTO_DAMAGED)
    if isinstance(image, JpegImageFile):
        # The decoder halves while it decodes, as long as 1600 px are left: a quarter of the time and memory.
        left, top, right, bottom = _kept(image.size, orientation, window)
        image.draft(None, _fit(image.size, 1600 * max(image.size) // max(right - left, bottom - top)))
        if math.prod(image.size) > PIXELS["PNG"]:
            raise ImageRejected(Reason.PHOTO_LARGE_TO_CROP, {"width": parts.width, "height": parts.height})
    image.load()
    return image


def _digest(image: Image.Image) -> bytes:
    # A strip at a time, without a copy of the whole.
    strips = (image.crop((0, top, image.width, min(top + 256, image.height))) for top in range(0, image.height, 256))
    digest = hashlib.sha256()
    for each in strips:
        digest.update(each.tobytes())
    return digest.digest()


def _made(
    image: Image.Image, parts: StrippedPhoto, orientation: int, window: Window | None
) -> tuple[bytes, tuple[str, ...]]:
    meant, location = orientation_and_location(parts.exif)
    whole = parts.width, parts.height
    left, top, right, bottom = _kept(whole, orientation, window)
    original = right - left, bottom - top
    changes = []

    picture = _without_palette(image)
    if picture.has_transparency_data and _put_on_white(picture):
        changes.append("transparency put on white")
    # Of what was decoded, which may be a half or a quarter of the whole.
    box = left, top, right, bottom = _kept(picture.size, orientation, window)
    picture = _shrink(picture, _fit(original, min(LONG_SIDE, max(right - left, bottom - top))), box)
    if original != whole:
        changes.append("cropped to the face" if window else "cropped to fit")
    if parts.profile and (converted := _to_srgb(picture, parts.profile)):
        picture = converted
        changes.append("colours converted to sRGB")
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
    if orientation != 1 or meant in _TURNS:
        changes.append("turned upright" if orientation == meant else "turned")

    jpeg, long_side = _small_enough(picture)
    if long_side < max(original):
        changes.append("made smaller")
    if parts.exif or parts.texts:
        camera = "location and camera data removed" if location else "camera data removed"
        changes.append(camera if parts.exif else "hidden metadata removed")
    return jpeg, tuple(changes)


def _without_palette(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # `convert` would clip 16 bits to 255.
        return image.point(lambda value: value / 257).convert("L")
    if image.mode in {"P", "1"}:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _put_on_white(picture: Image.Image) -> bool:
    # In place and a strip at a time: at 40 million pixels a copy needs 160 MB.
    found = False
    for top in range(0, picture.height, 256):
        strip = 0, top, picture.width, min(top + 256, picture.height)
        alpha = picture.crop(strip).convert("RGBA").getchannel("A")
        if alpha.getextrema()[0] != 255:
            picture.paste("white", strip, ImageChops.invert(alpha))
            found = True
    return found


def _kept(size: tuple[int, int], orientation: int, window: Window | None) -> tuple[int, int, int, int]:
    """What is used of the picture as it is stored."""
    if not window:
        return _window(size, orientation)
    left, top, right, bottom = window
    # Back through `_TURNS`: each mirrors, and then some swap the two directions.
    across, down = (left, right), (top, bottom)
    if orientation in _ON_THE_SIDE:
        across, down = down, across
    if orientation in {2, 3, 7, 8}:
        across = 1 - across[1], 1 - across[0]
    if orientation in {3, 4, 6, 7}:
        down = 1 - down[1], 1 - down[0]
    (width, height), ((left, right), (top, bottom)) = size, (across, down)
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


def _window(size: tuple[int, int], orientation: int) -> tuple[int, int, int, int]:
    (width, height), long = size, int(wire.PHOTO_RATIO * min(size))
    share = 0.5
    if (height > width) == (orientation not in _ON_THE_SIDE):
        # The face is in the upper part; the stored picture may have it on the right or below.
        share = 0.7 if orientation in {3, 4, 7, 8} else 0.3
    left, top = (max(0, round((side - long) * share)) for side in size)
    return left, top, left + min(width, long), top + min(height, long)


def _fit(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    # Rounded up, so that a photo of exactly 5:2 does not leave the allowed ratio by a pixel.
    width, height = size
    long = max(size)
    return math.ceil(width * long_side / long), math.ceil(height * long_side / long)


def _shrink(picture: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int] | None = None) -> Image.Image:
    # A channel at a time: at 40 million pixels Pillow's own resize of an RGBA picture needs 320 MB.
    if picture.size == size:
        return picture
    mode = picture.mode.removesuffix("A")
    bands = [picture.getchannel(band).resize(size, Image.Resampling.LANCZOS, box, reducing_gap=3.0) for band in mode]
    return Image.merge(mode, bands)


def _to_srgb(picture: Image.Image, icc: bytes) -> Image.Image | None:
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return None
        return ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, *DAMAGE):
        return None


def _small_enough(picture: Image.Image) -> tuple[bytes, int]:
    """As a JPEG, and how long its long side is."""
    # On a new image: nothing that the file carried can follow the pixels.
    clean = Image.new("RGB", picture.size)
    clean.paste(picture.convert("RGB"))
    jpeg = _encode(clean)
    while len(jpeg) > JPEG_BYTES:
        clean = _shrink(clean, _fit(clean.size, round(max(clean.size) * 0.85)))
        jpeg = _encode(clean)
    return jpeg, max(clean.size)


def _encode(picture: Image.Image) -> bytes:
    for quality in _QUALITIES:
        out = BytesIO()
        picture.save(out, "JPEG", quality=quality)
        if out.tell() <= JPEG_BYTES:
            break
    return out.getvalue()
