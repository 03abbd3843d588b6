"""Files that mean harm or are badly broken, and a place to try each in a process of its own."""

import io
import json
import os
import re
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageCms

from ..support.photos import encoded

ASSETS = Path(__file__).parent.parent.parent / "assets"
_MOST = 19_900_000


@lru_cache(9)
def face(size: tuple[int, int] = (320, 400), mode: str = "RGB") -> Image.Image:
    with Image.open(ASSETS / "portraits" / "astronaut.png") as image:
        return image.convert("RGB").resize(size).convert(mode)


def segment(marker: int, body: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(*first: bytes, **options: object) -> bytes:
    """A good one, with these segments before all others."""
    data = encoded(face(), "JPEG", **options)
    return data[:2] + b"".join(first) + data[2:]


def frame(data: bytes, **changed: int) -> bytes:
    """Its frame header with other values."""
    at = re.search(rb"\xff[\xc0-\xc2]\0", data).start()
    fields = dict(
        zip(
            ("marker", "bits", "height", "width", "parts"),
            (data[at + 1], *struct.unpack_from(">BHHB", data, at + 4)),
            strict=True,
        )
    )
    fields |= changed
    head = struct.pack(">BBHHB", 0, fields["bits"], fields["height"], fields["width"], fields["parts"])[1:]
    return data[: at + 1] + bytes((fields["marker"],)) + data[at + 2 : at + 4] + head + data[at + 10 :]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int = 320, height: int = 320, bits: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))


SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = chunk(b"IEND")


def png(*middle: bytes, head: bytes | None = None, pixels: bytes | None = None) -> bytes:
    """A good one of 320 × 320 px, with these chunks before its pixels."""
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x40\x80\xc0" * 320) * 320)) if pixels is None else pixels
    return SIGNATURE + (head if head is not None else header()) + b"".join(middle) + pixels + END


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def piece(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp(*extra: bytes, flags: int = 0, **options: object) -> bytes:
    """A good one of 320 × 400 px, with these pieces after its pixels."""
    plain = encoded(face(), "WEBP", **options)
    return riff(canvas(320, 400, flags), plain[12:], *extra)


def canvas(width: int, height: int, flags: int = 0) -> bytes:
    return piece(
        b"VP8X", bytes((flags, 0, 0, 0)) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    )


def exif(entries: list[tuple[int, int, int, int]], tail: bytes = b"", following: int = 0) -> bytes:
    """TIFF with one directory: tag, type, count, value or offset."""
    ifd = struct.pack("<H", len(entries) % 65536) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + ifd + struct.pack("<I", following) + tail


def exif_segments(tiff: bytes) -> bytes:
    parts = [tiff[at : at + 65_000] for at in range(0, len(tiff), 65_000)]
    return b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts)


def large_exif(entries: int, each: int) -> bytes:
    table = [(0x112, 3, 1, 6)] + [(n, 7, each, 8 + 2 + 12 * entries + 4) for n in range(0x200, 0x200 + entries - 1)]
    return exif(table, bytes(each))


def scans(data: bytes, times: int) -> bytes:
    """Its last scan again and again."""
    at, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    return data[:end] + data[at:end] * times + data[end:]


def first_scan(data: bytes) -> bytes:
    at = data.find(b"\xff\xda")
    return data[: re.search(rb"\xff[\xc4\xda]", data[at + 2 :]).start() + at + 2] + b"\xff\xd9"


def cut_at_a_restart(data: bytes) -> bytes:
    return data[: [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)][-2]]


def many(part: bytes, most: int = _MOST) -> bytes:
    return part * (most // len(part))


def flat(size: tuple[int, int], mode: str, kind: str, colour: object = None, **options: object) -> bytes:
    return encoded(Image.new(mode, size, colour if colour is not None else 0), kind, **options)


def large_png(bits: int, colour: int, *middle: bytes, width: int = 8000, height: int = 5000) -> bytes:
    """Made a row at a time: the test itself need not hold the picture."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" + bytes(range(1, 251)) * (width * samples * bits // 8 // 250)
    packer = zlib.compressobj(1)
    body = packer.compress(row * 500)
    body += b"".join(packer.compress(row * 500) for _ in range(height // 500 - 1)) + packer.flush()
    return SIGNATURE + header(width, height, bits, colour) + b"".join(middle) + chunk(b"IDAT", body) + END


def profile(**changed: bytes) -> bytes:
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data = data.replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be")).replace(b"sRGB", b"odd!")
    for at, value in changed.items():
        data[int(at[1:]) : int(at[1:]) + len(value)] = value
    return bytes(data)


_ZERO_MEGABYTE = zlib.compress(bytes(1_000_000), 9)
_OVER_A_MEGABYTE = zlib.compress(bytes(300_000_000), 9)
_PHOTOSHOP = segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0" * 5400)
_PALETTE = chunk(b"PLTE", bytes(range(256)) * 3)
# The last words of a refusal: what to do.
ADVICE = r"[.;] ([Ss]ave|Choose|Crop|Check|Give|Send|Encode) [^.]*(\.|,…)$"
DAMAGED, ODD, PIECES = "is damaged", "a rare kind of JPEG", "pieces"


@dataclass(frozen=True)
class File:
    """`says` is what the refusal says, or None where the photo is good, of `size`."""

    name: str
    make: Callable[[], bytes]
    says: str | None = None
    size: tuple[int, int] | None = None


def _good(name: str, make: Callable[[], bytes], size: tuple[int, int] = (320, 400)) -> File:
    return File(name, make, None, size)


FILES = [
    # JPEG
    File("jpeg of 4295 million pixels", lambda: frame(jpeg(), width=65535, height=65535), "4294.9 million pixels"),
    File("jpeg of no height", lambda: frame(jpeg(), height=0), "320 × 0 px; its short side"),
    File("jpeg of no width", lambda: frame(jpeg(), width=0), "0 × 400 px; its short side"),
    File("jpeg of one row", lambda: frame(jpeg(), height=1), "320 × 1 px; its short side"),
    _good("jpeg of 40 million pixels without their data", lambda: frame(jpeg(), width=8000, height=5000), (2000, 1250)),
    File("jpeg of 12 bits", lambda: frame(jpeg(), bits=12), ODD),
    File("jpeg of 16 bits, lossless", lambda: frame(jpeg(), bits=16, marker=0xC3), ODD),
    File("jpeg with arithmetic coding", lambda: frame(jpeg(), marker=0xC9), ODD),
    File("jpeg with arithmetic coding, progressive", lambda: frame(jpeg(progressive=True), marker=0xCA), ODD),
    File("jpeg, hierarchical", lambda: frame(jpeg(), marker=0xC5), ODD),
    File("jpeg of no components", lambda: frame(jpeg(), parts=0), DAMAGED),
    File("jpeg of a frame header that ends early", lambda: jpeg(segment(0xC0, b"\x08\1\x90\1\x40\0")), DAMAGED),
    File("jpeg of two components", lambda: frame(jpeg(), parts=2), DAMAGED),
    File("jpeg of five components", lambda: frame(jpeg(), parts=5), DAMAGED),
    File("jpeg of 255 components", lambda: frame(jpeg(), parts=255), DAMAGED),
    File("jpeg with two frame headers", lambda: jpeg(segment(0xC0, b"\x08\1\x90\1\x40\x01\x01\x11\0")), DAMAGED),
    File("jpeg with an impossible sampling", lambda: jpeg().replace(b"\x01\x22\0", b"\x01\xff\0", 1), DAMAGED),
    File("jpeg with a sampling of zero", lambda: jpeg().replace(b"\x01\x22\0", b"\x01\0\0", 1), DAMAGED),
    File(
        "jpeg of 201 million pixels",
        lambda: frame(jpeg(), width=16_400, height=12_300),
        "201.8 million pixels; the limit is 200 million. Save it smaller",
    ),
    _good("jpeg of 48 million pixels", lambda: flat((8000, 6000), "RGB", "JPEG", "red"), (2000, 1500)),
    _good(
        "jpeg of 48 million pixels, progressive",
        lambda: flat((8000, 6000), "RGB", "JPEG", "red", progressive=True),
        (2000, 1500),
    ),
    _good(
        "jpeg of 200 million pixels without their data",
        lambda: frame(jpeg(subsampling=0), width=16_320, height=12_240),
        (2040, 1530),
    ),
    _good(
        "jpeg of 200 million pixels in CMYK without their data",
        lambda: frame(encoded(face(mode="CMYK"), "JPEG"), width=16_320, height=12_240),
        (2040, 1530),
    ),
    File("jpeg of 83 million pixels that are too wide", lambda: frame(jpeg(), width=65_500, height=1270), "Crop it"),
    _good("jpeg without its end", lambda: jpeg()[:-2]),
    _good(
        "jpeg of 100 scans without its end",
        lambda: scans(flat((3000, 2000), "RGB", "JPEG", "red", progressive=True), 90)[:-2],
        (2048, 1366),
    ),
    _good(
        "jpeg of 48 million pixels, progressive, without its end",
        lambda: flat((8000, 6000), "RGB", "JPEG", "red", progressive=True)[:-2],
        (2000, 1500),
    ),
    File(
        "jpeg of 40 million pixels without their data and its end",
        lambda: frame(jpeg(), width=8000, height=5000)[:-2],
        DAMAGED,
    ),
    File("jpeg that breaks off at a restart", lambda: cut_at_a_restart(jpeg(restart_marker_rows=1)), DAMAGED),
    File("jpeg of its first scan alone, without its end", lambda: first_scan(jpeg(progressive=True))[:-2], DAMAGED),
    File("jpeg with zeros in place of its end", lambda: jpeg()[:9000] + bytes(400_000), DAMAGED),
    _good("jpeg without code tables", lambda: re.sub(rb"\xff\xc4", b"\xff\xec", jpeg())),
    File(
        "jpeg of grey with a sampling of zero",
        lambda: encoded(face(mode="L"), "JPEG").replace(b"\x01\x11\0", b"\x01\0\0", 1),
        DAMAGED,
    ),
    File("jpeg without quantization tables", lambda: re.sub(rb"\xff\xdb", b"\xff\xec", jpeg()), DAMAGED),
    File("jpeg without a scan", lambda: jpeg()[: jpeg().find(b"\xff\xda")] + b"\xff\xd9", DAMAGED),
    File("jpeg of a segment of length 0", lambda: jpeg(b"\xff\xe5\0\0"), DAMAGED),
    File("jpeg of empty segments", lambda: jpeg(many(segment(0xE5))), PIECES),
    File("jpeg of empty comments", lambda: jpeg(many(segment(0xFE))), PIECES),
    _good("jpeg of padding", lambda: jpeg(b"\xff" * _MOST)),
    _good("jpeg of junk between its segments", lambda: jpeg(segment(0xE5) + b"\x11\xff\0" * (_MOST // 3))),
    _good(
        "jpeg of 300,000 quantization tables", lambda: jpeg(many(segment(0xDB, (b"\0" + bytes(range(1, 65))) * 1008)))
    ),
    File("jpeg of code tables", lambda: jpeg(many(segment(0xC4, b"\0" + bytes(16)))), PIECES),
    _good("jpeg of Photoshop resources", lambda: jpeg(many(_PHOTOSHOP))),
    _good("jpeg of 300 comments", lambda: jpeg(many(segment(0xFE, b"<script>" * 8000)))),
    _good("jpeg with HTML in its comment", lambda: jpeg(segment(0xFE, b"<html><script>alert(1)</script>"))),
    _good("jpeg and a ZIP", lambda: jpeg() + b"PK\3\4" + bytes(30) + b"PK\5\6" + bytes(18)),
    _good("jpeg and a film", lambda: jpeg() + b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\x0c" * 100_000),
    _good("jpeg of several pictures", lambda: encoded(face(), "MPO", save_all=True, append_images=[face((8, 8))])),
    _good("jpeg with another in its EXIF", lambda: jpeg(exif_segments(exif([(0x112, 3, 1, 1)], jpeg())))),
    _good("jpeg that restarts at each block", lambda: jpeg(restart_marker_blocks=1)),
    File("jpeg of 4000 scans", lambda: scans(flat((640, 640), "L", "JPEG", progressive=True), 4000), "in 4006 scans"),
    File(
        "jpeg of 100 scans that are large",
        lambda: scans(frame(jpeg(progressive=True), width=6000, height=6000), 90),
        "in 100 scans",
    ),
    _good(
        "jpeg of 100 scans", lambda: scans(flat((3000, 2000), "RGB", "JPEG", "red", progressive=True), 90), (2048, 1366)
    ),
    File("jpeg of 400 whole scans", lambda: scans(flat((640, 640), "L", "JPEG"), 400), "in 401 scans"),
    _good("jpeg of 40 million pixels", lambda: flat((8000, 5000), "RGB", "JPEG", "red"), (2000, 1250)),
    _good(
        "jpeg of 40 million pixels, progressive",
        lambda: flat((8000, 5000), "RGB", "JPEG", "red", progressive=True),
        (2000, 1250),
    ),
    File(
        "jpeg of 40 million pixels, progressive, with all colours",
        lambda: frame(jpeg(progressive=True, subsampling=0), width=8000, height=5000),
        "takes 240 MB to read; the limit is 200 MB",
    ),
    File(
        "jpeg of 40 million pixels in CMYK, progressive",
        lambda: frame(encoded(face(mode="CMYK"), "JPEG", progressive=True), width=8000, height=5000),
        "takes 320 MB to read",
    ),
    File(
        "jpeg of 40 million pixels, progressive, of its first scan alone",
        lambda: first_scan(frame(jpeg(progressive=True, subsampling=0), width=8000, height=5000)),
        "takes 240 MB to read",
    ),
    File(
        "jpeg of 40 million pixels in two scans",
        lambda: scans(frame(jpeg(subsampling=0), width=8000, height=5000), 1),
        "takes 240 MB to read",
    ),
    _good("jpeg of 40 million pixels in CMYK", lambda: flat((8000, 5000), "CMYK", "JPEG"), (2000, 1250)),
    _good("jpeg in CMYK", lambda: encoded(face(mode="CMYK"), "JPEG")),
    _good("jpeg in CMYK without Adobe's mark", lambda: encoded(face(mode="CMYK"), "JPEG").replace(b"Adobe", b"adobe")),
    _good("jpeg with an unknown colour transform", lambda: jpeg(segment(0xEE, b"Adobe\0\x64\0\0\0\0\x07"))),
    File("jpeg that is cut in its header", lambda: jpeg()[:150], DAMAGED),
    File("jpeg that is cut in its pixels", lambda: jpeg()[:-3000], DAMAGED),
    File("jpeg of its first bytes alone", lambda: b"\xff\xd8\xff\xe0", DAMAGED),
    # EXIF, colour profiles
    _good(
        "exif of 5000 entries that share their 60 kB", lambda: jpeg(exif_segments(large_exif(300, 60_000))), (400, 320)
    ),
    _good(
        "exif of 60,000 entries that share a megabyte",
        lambda: jpeg(exif_segments(large_exif(60_000, 1_000_000))),
        (400, 320),
    ),
    _good("exif of 60,000 entries in a png", lambda: png(chunk(b"eXIf", large_exif(60_000, 1_000_000))), (320, 320)),
    _good(
        "exif of 60,000 entries in a webp",
        lambda: webp(piece(b"EXIF", large_exif(60_000, 1_000_000)), flags=8),
        (400, 320),
    ),
    _good(
        "exif that goes in circles",
        lambda: jpeg(exif_segments(exif([(0x112, 3, 1, 1), (0x8769, 4, 1, 8), (0x8825, 4, 1, 8)], following=8))),
    ),
    _good(
        "exif of four thousand million values",
        lambda: jpeg(exif_segments(exif([(0x112, 3, 2**32 - 1, 6)]))),
        (400, 320),
    ),
    _good("exif with no such orientation", lambda: jpeg(exif_segments(exif([(0x112, 3, 1, 77)])))),
    _good("exif with its orientation as text", lambda: jpeg(exif_segments(exif([(0x112, 2, 2, 6)])))),
    _good("exif that is cut", lambda: jpeg(exif_segments(exif([(0x112, 3, 1, 6)])[:15]))),
    _good("exif that begins outside", lambda: jpeg(exif_segments(b"MM\0*\xff\xff\xff\xff"))),
    _good("exif that is none", lambda: jpeg(exif_segments(b"\0" * 60_000))),
    _good("exif in 300 segments", lambda: jpeg(many(exif_segments(bytes(60_000))))),
    _good("profile that is none", lambda: jpeg(segment(0xE2, b"ICC_PROFILE\0\1\1" + b"no profile"))),
    _good(
        "profile of 255 segments of junk",
        lambda: jpeg(*(segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 255)) + bytes(65_000)) for n in range(1, 256))),
    ),
    _good("profile of no bytes", lambda: jpeg(segment(0xE2, b"ICC_PROFILE\0"))),
    _good("profile of which a half is missing", lambda: jpeg(segment(0xE2, b"ICC_PROFILE\0\1\2" + profile()[:200]))),
    _good("profile of four thousand million tags", lambda: jpeg(icc_profile=profile(_128=b"\xff\xff\xff\xff"))),
    _good("profile that names itself larger", lambda: jpeg(icc_profile=profile(_0=b"\x7f\xff\xff\xff"))),
    _good("profile for another colour space", lambda: jpeg(icc_profile=profile(_16=b"CMYK"))),
    _good("profile of nonsense", lambda: jpeg(icc_profile=profile(_150=b"\xff" * 100))),
    # PNG
    File("png of 3600 million pixels", lambda: png(head=header(60_000, 60_000)), "3600 million pixels"),
    File("png of the largest numbers", lambda: png(head=header(2**31 - 1, 2**31 - 1)), "million pixels"),
    File("png of no width", lambda: png(head=header(0, 320)), "0 × 320 px; its short side"),
    File("png of one row", lambda: png(head=header(320, 1)), "320 × 1 px; its short side"),
    File("png of a ratio of 1:99", lambda: png(head=header(320, 31_680)), "between 2:5 and 5:2"),
    File("png of 4 million empty text chunks", lambda: png(many(chunk(b"tEXt"))), PIECES),
    File("png of 1.6 million empty pieces of pixels", lambda: png(many(chunk(b"IDAT"))), PIECES),
    _good("png of compressed texts", lambda: png(chunk(b"zTXt", b"a\0\0" + _ZERO_MEGABYTE) * 5000), (320, 320)),
    _good(
        "png of compressed texts that break off",
        lambda: png(chunk(b"zTXt", b"a\0\0" + _ZERO_MEGABYTE[:-4]) * 5000),
        (320, 320),
    ),
    _good(
        "png of international texts", lambda: png(chunk(b"iTXt", b"a\0\1\0\0\0" + _ZERO_MEGABYTE) * 5000), (320, 320)
    ),
    _good("png of compressed profiles", lambda: png(chunk(b"iCCP", b"a\0\0" + _ZERO_MEGABYTE) * 15_000), (320, 320)),
    _good(
        "png of compressed profiles that break off",
        lambda: png(chunk(b"iCCP", b"a\0\0" + _ZERO_MEGABYTE[:-4] + b"oops") * 15_000),
        (320, 320),
    ),
    _good("png of a profile of 300 MB", lambda: png(chunk(b"iCCP", b"a\0\0" + _OVER_A_MEGABYTE)), (320, 320)),
    _good("png of a text of 300 MB", lambda: png(chunk(b"zTXt", b"a\0\0" + _OVER_A_MEGABYTE)), (320, 320)),
    _good("png of a text of 19 MB", lambda: png(chunk(b"tEXt", b"a\0" + b"a" * 19_000_000)), (320, 320)),
    _good("png with 300 MB of pixels too many", lambda: png(pixels=chunk(b"IDAT", _OVER_A_MEGABYTE)), (320, 320)),
    _good("png with a wrong sum under its text", lambda: png(chunk(b"tEXt", b"a\0b")[:-4] + b"\0\0\0\0"), (320, 320)),
    File("png with a wrong sum under its header", lambda: png(head=header()[:-4] + b"\0\0\0\0"), DAMAGED),
    File("png with a wrong sum under its pixels", lambda: png(pixels=png()[33:-16] + b"\0\0\0\0"), DAMAGED),
    File("png without pixels", lambda: png(pixels=b""), DAMAGED),
    _good("png with too few pixels", lambda: png(pixels=chunk(b"IDAT", zlib.compress(bytes(961 * 100)))), (320, 320)),
    File("png whose pixels are no zlib", lambda: png(pixels=chunk(b"IDAT", b"not at all")), DAMAGED),
    File("png whose header is not first", lambda: png(head=chunk(b"tEXt", b"a\0b") + header()), DAMAGED),
    File("png with two headers", lambda: png(head=header() + header(9000, 9000)), DAMAGED),
    File("png with a chunk of 4 GB", lambda: png(b"\xff\xff\xff\xfftEXt"), DAMAGED),
    File("png with 3 bits", lambda: png(head=header(bits=3)), DAMAGED),
    File("png with colour type 5", lambda: png(head=header(colour=5)), DAMAGED),
    File(
        "png with an unknown filter",
        lambda: png(pixels=chunk(b"IDAT", zlib.compress((b"\x09" + bytes(960)) * 320))),
        DAMAGED,
    ),
    File(
        "png without its palette",
        lambda: png(head=header(colour=3), pixels=chunk(b"IDAT", zlib.compress(bytes(321 * 320)))),
        DAMAGED,
    ),
    File("png with a palette of 19 MB", lambda: png(chunk(b"PLTE", bytes(19_000_001)), head=header(colour=3)), DAMAGED),
    _good("png with a transparency that is too long", lambda: png(chunk(b"tRNS", bytes(10_000))), (320, 320)),
    _good("png, interlaced", lambda: interlaced(), (320, 320)),
    _good(
        "png, animated",
        lambda: encoded(face(), "PNG", save_all=True, append_images=[face().rotate(90 * n) for n in range(3)]),
    ),
    _good("png of 40 million pixels with transparency", lambda: large_png(8, 6), (2048, 1280)),
    _good(
        "png of 40 million pixels with a transparent colour",
        lambda: large_png(8, 2, chunk(b"tRNS", bytes((0, 1, 0, 2, 0, 3)))),
        (2048, 1280),
    ),
    _good("png of 40 million pixels, grey with transparency", lambda: large_png(8, 4), (2048, 1280)),
    _good(
        "png of 40 million pixels with a transparent palette",
        lambda: large_png(8, 3, _PALETTE, chunk(b"tRNS", bytes(256))),
        (2048, 1280),
    ),
    _good("png of 40 million pixels, grey of 16 bits", lambda: large_png(16, 0), (2048, 1280)),
    _good("png of 40 million pixels in black and white", lambda: large_png(1, 0), (2048, 1280)),
    _good("png without its end", lambda: png()[:-12], (320, 320)),
    File("png of 48 million pixels", lambda: png(head=header(8000, 6000)), "Save it smaller, or as a JPEG"),
    File("png that is cut in its pixels", lambda: png()[:-20], DAMAGED),
    # WebP
    File(
        "webp of 268 million pixels",
        lambda: riff(piece(b"VP8L", b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + bytes(99))),
        "268.5 million pixels",
    ),
    File(
        "webp of a canvas of 281 million million pixels",
        lambda: riff(canvas(2**24, 2**24), piece(b"VP8L", b"\x2f")),
        "281474976.8 million pixels",
    ),
    File(
        "webp whose canvas is smaller than its picture",
        lambda: riff(canvas(310, 310), encoded(face(), "WEBP")[12:]),
        DAMAGED,
    ),
    File(
        "webp whose canvas comes late and is smaller",
        lambda: riff(encoded(face((400, 400)), "WEBP")[12:], canvas(320, 400)),
        DAMAGED,
    ),
    File("webp of one row", lambda: encoded(face((320, 1)), "WEBP"), "320 × 1 px; its short side"),
    File("webp of unknown pieces", lambda: webp(many(piece(b"ABCD"))), PIECES),
    File("webp of a piece of 4 GB", lambda: riff(canvas(320, 400), b"VP8 \xff\xff\xff\xff"), DAMAGED),
    File("webp of no pieces", lambda: riff(), DAMAGED),
    _good("webp of 10,000 frames", lambda: frames(10_000)),
    File("webp of 100,000 frames", lambda: frames(100_000), PIECES),
    _good("webp and a ZIP", lambda: encoded(face(), "WEBP") + b"PK\5\6" + bytes(18)),
    _good("webp with a text of 19 MB", lambda: webp(piece(b"XMP ", b"a" * 19_000_000), flags=4)),
    _good(
        "webp without loss, with transparency", lambda: encoded(face(mode="RGBA"), "WEBP", lossless=True, exact=True)
    ),
    _good(
        "webp whose length is wrong",
        lambda: encoded(face(), "WEBP")[:4] + b"\xff\xff\xff\x7f" + encoded(face(), "WEBP")[8:],
    ),
    _good("webp of 12 million pixels", lambda: flat((4000, 3000), "RGB", "WEBP", "red"), (2048, 1536)),
    _good(
        "webp of 12 million pixels without loss",
        lambda: encoded(face((4000, 3000), "RGBA"), "WEBP", lossless=True, method=0, quality=0),
        (2048, 1536),
    ),
    File(
        "webp of 40 million pixels",
        lambda: riff(piece(b"VP8 ", b"\0\0\0\x9d\1\x2a" + struct.pack("<HH", 8000, 5000))),
        "40 million pixels; the limit is 13",
    ),
    File(
        "webp of 40 million pixels without loss",
        lambda: riff(piece(b"VP8L", b"\x2f" + struct.pack("<I", 7999 | 4999 << 14))),
        "40 million pixels; the limit is 13",
    ),
    _good("webp without its last byte, which says nothing", lambda: odd_webp()),
    _good("webp that is cut after its pixels", lambda: webp(piece(b"EXIF", bytes(99)), flags=8)[:-104]),
    File("webp that is cut", lambda: encoded(face(), "WEBP")[:-500], DAMAGED),
    # others, most of them under another name
    File("gif, animated", lambda: encoded(face(), "GIF", save_all=True, append_images=[face().rotate(90)]), "is GIF"),
    File("gif of 4295 million pixels", lambda: b"GIF89a\xff\xff\xff\xff\x80\0\0", "is GIF"),
    File("bmp", lambda: encoded(face(), "BMP"), "is BMP"),
    File("tiff", lambda: encoded(face(), "TIFF"), "is TIFF"),
    File("tiff that goes in circles", lambda: exif([(0x112, 3, 1, 1)], following=8), "is TIFF"),
    File("ico", lambda: encoded(face((64, 64)), "ICO"), "is ICO"),
    File("eps", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n" + b"\n" * 100_000, "is EPS"),
    File("psd", lambda: b"8BPS\0\1" + b"\xff" * 100, "is PSD"),
    File("fits", lambda: b"SIMPLE  =                    T" + b" " * 5000, "is FITS"),
    File("svg of a thousand million laughs", lambda: b'<!DOCTYPE a [<!ENTITY b "bbbb">]><svg>&b;</svg>', "is SVG"),
    File("pdf", lambda: b"%PDF-1.7\n" + bytes(999), "is PDF"),
    File("avif", lambda: encoded(face(), "AVIF"), "is AVIF"),
    File("heic", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(999), "is HEIC"),
    File("jpeg 2000", lambda: encoded(face(), "JPEG2000"), "is JPEG 2000"),
    File("jpeg xl", lambda: b"\xff\x0a" + bytes(99), "is JPEG XL"),
    File("film", lambda: b"\0\0\0\x18ftypmp42" + bytes(99), "is a video"),
    File("web page", lambda: b"<!doctype html><img src=x onerror=alert(1)>", "not a picture"),
    File("program", lambda: b"\x7fELF" + bytes(999), "not a picture"),
    File("zip", lambda: b"PK\3\4" + bytes(999), "not a picture"),
    File("zip bomb", lambda: zlib.compress(bytes(10_000_000)), "not a picture"),
    File("pnm", lambda: b"P6\n99999 99999\n255\n", "not a picture"),
    File("zeros", lambda: bytes(_MOST), "not a picture"),
    File("too large", lambda: jpeg() + bytes(21_000_000), "MB; the limit is 20 MB"),
    File("empty", lambda: b"", "is empty"),
]


def odd_webp() -> bytes:
    """Without its last byte, which only makes the length of a piece even."""
    made = (encoded(face().quantize(colours).convert("RGB"), "WEBP", lossless=True) for colours in range(8, 99))
    return next(data for data in made if int.from_bytes(data[16:20], "little") % 2)[:-1]


def interlaced() -> bytes:
    rows = b""
    for left, top, right, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        rows += (b"\0" + b"\x40\x80\xc0" * len(range(left, 320, right))) * len(range(top, 320, down))
    return png(head=header(interlaced=1), pixels=chunk(b"IDAT", zlib.compress(rows)))


def frames(count: int) -> bytes:
    still = encoded(face(), "WEBP")[12:]
    small = encoded(face((16, 16)), "WEBP", quality=1)[12:]
    place = bytes(6) + struct.pack("<I", 319)[:3] + struct.pack("<I", 399)[:3] + b"\x64\0\0\0"
    corner = bytes(6) + struct.pack("<I", 15)[:3] + struct.pack("<I", 15)[:3] + b"\x64\0\0\0"
    rest = piece(b"ANMF", corner + small)
    return riff(canvas(320, 400, 2), piece(b"ANIM", bytes(6)), piece(b"ANMF", place + still), rest * (count - 1))


@dataclass(frozen=True)
class Trial:
    """What one file did to a process that had done nothing else."""

    verdict: str
    size: tuple[int, int] | None
    jpeg: bytes
    cpu_seconds: float
    megabytes: float
    seconds: float


class Sandbox:
    """A small process that tries each file in a fork of its own; the kernel counts time and memory of the fork."""

    def __enter__(self) -> "Sandbox":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.photo.hostile"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def tries(self, data: bytes) -> Trial:
        pipe = self._process.stdin
        pipe.write(struct.pack(">I", len(data)) + data)
        pipe.flush()
        head = json.loads(self._process.stdout.readline())
        jpeg = self._process.stdout.read(head.pop("bytes"))
        return Trial(**head | {"size": tuple(head["size"]) or None}, jpeg=jpeg)


def _serve() -> None:
    from s2v_core.photo import prepare as images

    given, taken = sys.stdin.buffer, sys.stdout.buffer
    while length := given.read(4):
        data = given.read(struct.unpack(">I", length)[0])
        reader, writer = os.pipe()
        began = time.monotonic()
        if not (child := os.fork()):
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                _try(images, data, out)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as answer:
            first, jpeg = answer.readline(), answer.read()
        _, status, used = os.wait4(child, 0)
        head = json.loads(first) if first else {"verdict": f"ended by signal {status}", "size": []}
        head |= {
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "megabytes": used.ru_maxrss / 1024,
            "seconds": time.monotonic() - began,
            "bytes": len(jpeg),
        }
        taken.write(json.dumps(head).encode() + b"\n" + jpeg)
        taken.flush()


def _try(images: object, data: bytes, out: io.BufferedWriter) -> None:
    # A decoder that does not come back is ended by the kernel.
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    resource.setrlimit(resource.RLIMIT_AS, (6_000_000_000, 6_000_000_000))
    try:
        photo = images.prepare(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the verdict
        out.write(json.dumps({"verdict": f"{type(error).__name__}: {error}", "size": []}).encode() + b"\n")
    else:
        out.write(json.dumps({"verdict": "good", "size": [photo.width, photo.height]}).encode() + b"\n" + photo.jpeg)


if __name__ == "__main__":
    _serve()
