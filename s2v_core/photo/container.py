"""A JPEG, PNG or WebP file taken apart, so that a decoder sees its pixels and nothing else; pure.

What the decoders read on the way to the pixels is where the harm is: texts that unpack to gigabytes, directories
whose entries share one block, a million empty segments, thousands of scans.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..errors import ImageRejected
from ..reasons import Reason

Kind: TypeAlias = Literal["JPEG", "PNG", "WebP"]
# A JPEG is made smaller while it is decoded, a PNG is not; a WebP's decoder needs 16 bytes for each.
PIXELS: dict[Kind, int] = {"JPEG": 200_000_000, "PNG": 40_000_000, "WebP": 13_000_000}

_PIECES = 20_000
_PROFILE_BYTES = 4_000_000
_EXIF = b"Exif\0\0"
_EOI = b"\xff\xd9"
_IEND = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
# Up to 0xFF00, which is a value in a scan, and the restarts in it.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_SCAN, _END = 0xDA, 0xD9
_FRAMES = {0xC0, 0xC1, 0xC2}
_TABLES = {*_FRAMES, 0xC4, _SCAN, 0xDB, 0xDD}
# They say how the colours are meant.
_COLOURS = {0xE0: b"JFIF", 0xEE: b"Adobe"}


@dataclass(slots=True)
class StrippedPhoto:
    """`pixels` is a file of the same kind, empty where it is damaged; `exif` is TIFF.

    A JPEG in several scans is held as coefficients until the last one: `coefficient_bytes`, else 0. One that breaks
    off after its last scan has begun is closed: its pixels are all there if `closed_otherwise` is the same picture.
    """

    width: int = 0
    height: int = 0
    pixels: bytes = b""
    profile: bytes = b""
    exif: bytes = b""
    texts: bool = False
    scans: int = 1
    coefficient_bytes: int = 0
    broken_off: bool = False
    _kept: list[bytes | memoryview] = field(default_factory=list)

    def closed_otherwise(self) -> bytes:
        """What a decoder makes of it that still needs data differs from what it makes of `pixels`."""
        start = self.pixels.rfind(b"\xff\xda")
        _, last = max((self.pixels.rfind(bytes((0xFF, 0xD0 + n)), start), n) for n in range(8))
        # Data of a scan, and after them each time the restart that comes next.
        more = (b"\xaa\x35" * 64 + bytes((0xFF, 0xD0 + (last + n) % 8)) for n in range(1, 17))
        return self.pixels.removesuffix(_EOI) + b"".join(more) + _EOI


class _Damaged(Exception):
    pass


def strip(data: bytes, kind: Kind) -> StrippedPhoto:
    """Raises `ImageRejected` where there are too many of them."""
    parts = StrippedPhoto()
    with suppress(_Damaged, struct.error):
        {"JPEG": _jpeg, "PNG": _png, "WebP": _webp}[kind](data, parts)
        parts.pixels = b"".join(parts._kept)
    parts._kept = []
    if len(parts.profile) > _PROFILE_BYTES:
        parts.profile = b""
    parts.exif = parts.exif.removeprefix(_EXIF)
    return parts


def _count(pieces: int) -> int:
    if pieces >= _PIECES:
        raise ImageRejected(Reason.PHOTO_PIECES, {"most": _PIECES})
    return pieces + 1


@dataclass(slots=True)
class _Frame:
    """Which coefficients of a JPEG have come, and what it takes to hold them all."""

    progressive: bool = False
    all_bytes: int = 0
    scans: int = 0
    # By component: those of which the last bit is still to come.
    due: dict[int, set[int]] = field(default_factory=dict)

    def begin(self, marker: int, body: bytes) -> tuple[int, int]:
        bits, height, width = struct.unpack_from(">BHH", body)
        if marker not in _FRAMES or bits != 8:
            raise ImageRejected(Reason.PHOTO_RARE_JPEG)
        samples = [(sampling >> 4) * (sampling & 15) for sampling in body[7::3]]
        self.progressive, self.all_bytes = marker == 0xC2, 2 * width * height * sum(samples) // max([1, *samples])
        self.due = {component: set(range(64)) for component in body[6::3]}
        return width, height

    def scan(self, body: bytes) -> None:
        self.scans += 1
        first, last, bits = struct.unpack(">3B", body[-3:])
        for component in body[1:-3:2]:
            if not bits & 15:
                self.due.get(component, set()).difference_update(range(first, last + 1))


def _jpeg(data: bytes, parts: StrippedPhoto) -> None:
    view, frame, profile, marker = memoryview(data), _Frame(), dict[int, bytes](), 0
    parts._kept.append(view[:2])
    for marker, start, end, body in _segments(data):
        if marker == _SCAN:
            frame.scan(body)
        elif 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            parts.width, parts.height = frame.begin(marker, body)
        elif marker == 0xE1 and body.startswith(_EXIF):
            parts.exif = parts.exif or body
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            profile[body[12]] = body[14:]
        elif marker in {0xE1, 0xED, 0xFE}:
            parts.texts = True
        if marker in _TABLES or (marker in _COLOURS and body.startswith(_COLOURS[marker])):
            parts._kept.append(view[start:end])
    parts.scans, parts.coefficient_bytes = frame.scans, frame.all_bytes if frame.progressive or frame.scans > 1 else 0
    parts.broken_off = marker != _END
    # Zeros are what a disk or a download left in place of the rest: a decoder would take them for pixels.
    if parts.broken_off and (not frame.scans or any(frame.due.values()) or data.endswith(bytes(64))):
        raise _Damaged
    parts._kept.append(_EOI)
    parts.profile = b"".join(profile[n] for n in sorted(profile))


def _segments(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Marker, start, end and body of each, the data of a scan with it; the last is the end's, unless it breaks off."""
    pieces, found = 0, _MARKER.search(data, 2)
    while found and found[0] != _EOI:
        pieces, start, marker = _count(pieces), found.start(), found[0][1]
        (length,) = struct.unpack_from(">H", data, start + 2)
        body, end = data[start + 4 : start + 2 + length], start + 2 + length
        if length < 2 or end > len(data):
            raise _Damaged
        found = _MARKER.search(data, end)
        if marker == _SCAN:
            end = found.start() if found else len(data.rstrip(b"\xff"))
        yield marker, start, end, body
    if found:
        yield _END, found.start(), found.end(), b""


def _png(data: bytes, parts: StrippedPhoto) -> None:
    view, at, pieces, kind, seen = memoryview(data), 8, 0, b"", set[bytes]()
    parts._kept.append(view[:8])
    while kind != b"IEND":
        if b"IDAT" in seen and len(data) < at + 12:
            # It breaks off, maybe after its pixels: the decoder sees whether they are all there.
            parts._kept.append(_IEND)
            break
        pieces, start = _count(pieces), at
        length, kind = struct.unpack_from(">I4s", data, at)
        body, at = view[at + 8 : at + 8 + length], at + 12 + length
        if (kind == b"IHDR") != (start == 8):
            raise _Damaged
        if kind in {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}:
            if zlib.crc32(view[start + 4 : at - 4]) != struct.unpack_from(">I", data, at - 4)[0]:
                raise _Damaged
            parts._kept.append(view[start:at])
        if kind == b"IHDR":
            parts.width, parts.height = struct.unpack_from(">II", body)
        elif kind == b"iCCP" and kind not in seen:
            parts.profile = _unpacked(bytes(body))
        elif kind == b"eXIf":
            parts.exif = bytes(body)
        elif kind in {b"tEXt", b"zTXt", b"iTXt"}:
            parts.texts = True
        seen.add(kind)


def _unpacked(profile: bytes) -> bytes:
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(profile.partition(b"\0")[2][1:], _PROFILE_BYTES + 1)
    return b""


def _webp(data: bytes, parts: StrippedPhoto) -> None:
    view, at, pieces = memoryview(data), 12, 0
    end = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    # A piece without a whole head is none.
    while at + 8 <= end:
        pieces, start = _count(pieces), at
        kind, length = struct.unpack_from("<4sI", data, at)
        body, at = view[at + 8 : at + 8 + length], at + 8 + length + length % 2
        if kind == b"VP8X":
            parts.width = int.from_bytes(body[4:7], "little") + 1
            parts.height = int.from_bytes(body[7:10], "little") + 1
        elif kind in {b"VP8 ", b"VP8L"}:
            parts.width, parts.height = _webp_size(kind, body)
        elif kind == b"ICCP":
            parts.profile = bytes(body)
        elif kind == b"EXIF":
            parts.exif = bytes(body)
        elif kind == b"XMP ":
            parts.texts = True
        if kind in {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}:
            parts._kept.append(view[start:at])
            # The last byte of an odd piece says nothing, and may be missing.
            parts._kept.append(bytes(at == len(data) + 1 and length % 2))
    length = 4 + sum(map(len, parts._kept))
    parts._kept = [b"RIFF", struct.pack("<I", length), b"WEBP", *parts._kept]


def _webp_size(kind: bytes, body: memoryview) -> tuple[int, int]:
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    (sides,) = struct.unpack_from("<I", body, 1)
    return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
