"""Whatever a photo is given as → the JPEG that is sent, or why not; a link is checked and passed on."""

import asyncio
import base64
import binascii
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

from .. import wire
from ..addresses import PORT, NotPublic, check_public
from ..errors import ImageRejected, RatioRejected
from ..reasons import Reason
from .container import PIXELS, Kind, StrippedPhoto, strip

# A path, a data URL, or what is in the file.
Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
_Result = TypeVar("_Result")
Crop: TypeAlias = Literal[False, True, "face"]

# An ordinary progressive JPEG has ten; the decoder goes over the whole picture for each.
SCANS = 100
SCANNED_PIXELS = 800_000_000
COEFFICIENT_BYTES = 200_000_000
_LINK_CHARACTERS = 2000

_MAGIC: dict[bytes, Kind] = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"RIFF": "WebP"}
_OTHERS = {
    b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF", b"8BPS": "PSD",
    b"%!PS": "EPS", b"\xc5\xd0\xd3\xc6": "EPS", b"SIMPLE": "FITS", b"\0\0\1\0": "ICO", b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL": "JPEG XL", b"\0\0\0\x0cjP": "JPEG 2000",
}  # fmt: skip
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIC",
           b"msf1": "HEIC", b"qt  ": "a QuickTime video"}  # fmt: skip
# Photos decoded at once, in the whole process: each may need 300 MB.
_TWO = threading.BoundedSemaphore(2)
_THREADS = ThreadPoolExecutor(2, "photo")


@dataclass(frozen=True, slots=True)
class Photo:
    """The JPEG that is sent, and in sentences' parts what was changed on the way to it, as far as that is known."""

    jpeg: bytes = field(repr=False)
    changes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return strip(self.jpeg, "JPEG").width

    @property
    def height(self) -> int:
        return strip(self.jpeg, "JPEG").height

    @property
    def data_url(self) -> str:
        return data_url(self.jpeg)


class PublicLink(str):
    """A link to a photo that has been checked: it is passed on to the service and never opened here."""

    __slots__ = ()


def data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def prepare(source: Source, *, crop: Crop = False, turn: int = 0) -> Photo:
    """Upright, sRGB, on white, at most 2048 px, without metadata; of a path, bytes, a data URL or an open file.

    With `crop`, one that is too wide loses both its sides, and one that is too tall most of all its lower part; with
    `crop="face"` a square around its tallest face is kept. `turn` is 90, 180 or 270 degrees clockwise.
    Raises `ImageRejected`, or its `RatioRejected` where `crop` would have helped.
    """
    if turn not in {0, 90, 180, 270}:
        raise ValueError("turn is 0, 90, 180 or 270")
    with _TWO:
        data = _read(source)
        kind = _kind(data)
        parts = strip(data, kind)
        if parts.width or parts.height:
            _check_size(parts, kind, crop=bool(crop))
        _check_work(parts)
        # Only now: who sends a link, or follows a task, needs no Pillow.
        from .pixels import render

        photo = Photo(*render(parts, kind, turn=turn))
        if crop != "face":
            return photo
        from .advice import face_of

        window = face_of(photo)
        if max(parts.width, parts.height) > wire.PHOTO_RATIO * min(parts.width, parts.height):
            # It has been cropped to fit, and the face is where it is in that.
            cropped = Photo(*render(strip(photo.jpeg, "JPEG"), "JPEG", window=window))
            return Photo(cropped.jpeg, (*photo.changes, *cropped.changes))
        return Photo(*render(parts, kind, turn=turn, window=window))


def accept(source: Photo | Source) -> Photo | PublicLink:
    """What can be sent: the photo made ready, or the link to it. Raises `ImageRejected`.

    What has come through here before comes through as it is.
    """
    if isinstance(source, Photo | PublicLink):
        return source
    return public_link(source) if isinstance(source, str) and is_link(source) else prepare(source)


async def accept_async(source: Photo | Source) -> Photo | PublicLink:
    """`accept`, in threads of its own: neither the event loop nor the ledger's writes wait behind a photo."""
    if isinstance(source, Photo | PublicLink):
        return source
    return await in_thread(accept, source)


async def prepare_async(source: Source, *, crop: Crop = False, turn: int = 0) -> Photo:
    """`prepare`, in the same threads. Raises `ImageRejected`."""
    return await in_thread(partial(prepare, source, crop=crop, turn=turn))


async def in_thread(act: Callable[..., _Result], *given: object) -> _Result:
    """What takes much of a processor, two at once."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, act, *given)


def is_link(text: str) -> bool:
    return text.strip().lower().startswith(("http:", "https:"))


def from_data_url(url: str) -> bytes:
    """The bytes in a data URL. Raises `ImageRejected`."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        raise ImageRejected(Reason.PHOTO_NO_URL)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ImageRejected(Reason.PHOTO_BASE64) from None


def public_link(url: str) -> PublicLink:
    """The link, the same however its host was typed. Raises `ImageRejected`."""
    url = url.strip()
    if len(url) > _LINK_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise ImageRejected(Reason.LINK_CHARACTERS, {"most": _LINK_CHARACTERS})
    try:
        check_public(url)
    except NotPublic:
        raise ImageRejected(Reason.LINK_NOT_PUBLIC) from None
    parts = urlsplit(url)
    host = parts.netloc.lower().removesuffix(f":{PORT}").removesuffix(":")
    return PublicLink(urlunsplit(parts._replace(netloc=host, fragment="")))


def _read(source: Source) -> bytes:
    if isinstance(source, str) and is_link(source):
        raise ImageRejected(Reason.PHOTO_IS_LINK)
    if isinstance(source, str) and source.startswith("data:"):
        source = from_data_url(source)
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            data, size = bytes(source), memoryview(source).nbytes
        elif isinstance(source, str | os.PathLike) or hasattr(source, "read"):
            with Path(source).open("rb") if isinstance(source, str | os.PathLike) else nullcontext(source) as file:
                # As Pillow does, so that a photo that was just saved to a `BytesIO` is found.
                with suppress(AttributeError, OSError):
                    file.seek(0)
                data = file.read(wire.PHOTO_BYTES + 1)
                size = file.seek(0, SEEK_END) if len(data) > wire.PHOTO_BYTES and file.seekable() else len(data)
            if not isinstance(data, bytes):
                raise TypeError
        else:
            raise ImageRejected(Reason.PHOTO_TYPE, {"type": type(source).__name__})
    except OSError as error:
        raise ImageRejected(Reason.PHOTO_NOT_OPENED, {"detail": error.strerror or "it cannot be read"}) from None
    except (TypeError, ValueError):
        raise ImageRejected(Reason.PHOTO_NO_FILE) from None
    if not data:
        raise ImageRejected(Reason.PHOTO_EMPTY)
    if size > wire.PHOTO_BYTES:
        most, given = wire.PHOTO_BYTES // 1_000_000, math.ceil(size / 1e5) / 10
        raise ImageRejected(Reason.PHOTO_MEGABYTES, {"given": f"{given:g}", "most": most})
    return data


def _kind(data: bytes) -> Kind:
    for magic, kind in _MAGIC.items():
        if data.startswith(magic) and (kind != "WebP" or data[8:12] == b"WEBP"):
            return kind
    name = next((name for magic, name in _OTHERS.items() if data.startswith(magic)), "")
    if data[4:8] == b"ftyp":
        name = _BRANDS.get(data[8:12], "a video")
    if b"<svg" in data[:1000]:
        name = "SVG"
    if name:
        raise ImageRejected(Reason.PHOTO_KIND, {"kind": name})
    raise ImageRejected(Reason.PHOTO_NO_PICTURE)


def _check_size(parts: StrippedPhoto, kind: Kind, *, crop: bool) -> None:
    width, height = parts.width, parts.height
    size = {"width": width, "height": height}
    short, long = sorted((width, height))
    if width * height > PIXELS[kind]:
        millions = f"{math.ceil(width * height / 1e5) / 10:.1f}".removesuffix(".0")
        reason = Reason.PHOTO_PIXELS_JPEG if kind == "JPEG" else Reason.PHOTO_PIXELS
        raise ImageRejected(reason, {"kind": kind, "millions": millions, "most": PIXELS[kind] // 1_000_000})
    if short <= wire.PHOTO_SIDE:
        raise ImageRejected(Reason.PHOTO_SIDE, {**size, "least": wire.PHOTO_SIDE})
    if long > wire.PHOTO_RATIO * short and not crop:
        across, down = (f"{round(side / short, 1):g}" for side in (width, height))
        raise RatioRejected(Reason.PHOTO_RATIO, {**size, "across": across, "down": down})


def _check_work(parts: StrippedPhoto) -> None:
    if parts.scans > SCANS or (parts.scans > 1 and parts.scans * parts.width * parts.height > SCANNED_PIXELS):
        raise ImageRejected(Reason.PHOTO_SCANS, {"scans": parts.scans})
    if parts.coefficient_bytes > COEFFICIENT_BYTES:
        given, most = parts.coefficient_bytes // 1_000_000, COEFFICIENT_BYTES // 1_000_000
        raise ImageRejected(Reason.PHOTO_PROGRESSIVE, {"given": given, "most": most})
