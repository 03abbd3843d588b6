"""Good photos, damaged at random: only an `ImageRejected` or a good `Photo` may come of one.

`python -m tests.photo.fuzz --files 100000 --seed 1`; the nth file of a seed is always the same.
"""

import argparse
import io
import random
import re
import resource
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

from PIL import Image

from s2v_core import ImageRejected, prepare, wire
from s2v_core.photo.pixels import JPEG_BYTES, LONG_SIDE

from .hostile import (
    canvas,
    chunk,
    encoded,
    exif,
    exif_segments,
    face,
    frames,
    header,
    interlaced,
    jpeg,
    piece,
    png,
    profile,
    riff,
    segment,
)

_SIZE = (304, 320)


@cache
def seeds() -> list[bytes]:
    """Each kind in its varieties, a little larger than the smallest photo that is accepted."""
    small, grey, clear = face(_SIZE), face(_SIZE, "L"), face(_SIZE, "RGBA")
    clear.putalpha(grey)
    turned = exif([(0x10F, 2, 4, 0x41414141), (0x112, 3, 1, 6), (0x8825, 4, 1, 8)], bytes(40))
    return [
        encoded(small, "JPEG"),
        encoded(small, "JPEG", progressive=True, quality=40),
        encoded(small, "JPEG", restart_marker_rows=1, quality=30),
        encoded(small, "JPEG", exif=b"Exif\0\0" + turned, icc_profile=profile(), comment=b"a comment"),
        encoded(grey, "JPEG"),
        encoded(face(_SIZE, "CMYK"), "JPEG", quality=40),
        jpeg(exif_segments(turned), segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0")),
        encoded(small.quantize(16), "PNG"),
        encoded(small.quantize(64), "PNG", icc_profile=profile(), exif=turned),
        encoded(grey, "PNG"),
        encoded(grey.convert("1"), "PNG"),
        encoded(clear.quantize(16), "PNG"),
        png(chunk(b"tRNS", bytes(6)), chunk(b"tEXt", b"a\0b")),
        png(head=header(320, 310, 16, 6), pixels=chunk(b"IDAT", zlib.compress((b"\1" + bytes(8 * 320)) * 310))),
        interlaced(),
        encoded(small, "WEBP", quality=50),
        encoded(small.quantize(8).convert("RGB"), "WEBP", lossless=True),
        encoded(clear, "WEBP", quality=30),
        riff(
            canvas(*_SIZE, 0x2C),
            encoded(small, "WEBP", quality=20)[12:],
            piece(b"ICCP", profile()),
            piece(b"EXIF", turned),
        ),
        frames(3),
    ]


def mutated(number: int, seed: int) -> bytes:
    dice = random.Random(f"{seed} {number}")
    data = bytearray(dice.choice(seeds()))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        dice.choice(_MUTATIONS)(data, dice)
    # Else most damage to a PNG would end at its sums.
    return summed(bytes(data)) if dice.random() < 0.7 else bytes(data)


def _place(data: bytearray, dice: random.Random) -> int:
    # Half of them in the first bytes, where the structure is.
    return dice.randrange(min(len(data), 700) if dice.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 4, 40))):
        if data:
            data[_place(data, dice)] ^= 1 << dice.randrange(8)


def _number(data: bytearray, dice: random.Random) -> None:
    at, value = _place(data, dice), dice.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 301, 16384))
    size = dice.choice((1, 2, 4))
    data[at : at + size] = (value % 256**size).to_bytes(size, dice.choice(("big", "little")))


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[_place(data, dice) :]


def _drop(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice((1, 2, 30, 3000))]


def _double(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    data[at:at] = data[at : at + dice.choice((1, 12, 200, 5000))] * dice.choice((1, 2, 50))


def _splice(data: bytearray, dice: random.Random) -> None:
    other, at = dice.choice(seeds()), _place(data, dice)
    start = dice.randrange(len(other))
    data[at : at + dice.choice((0, 100))] = other[start : start + dice.choice((4, 100, 3000))]


def _whole_parts(data: bytearray, dice: random.Random) -> None:
    """Segments, chunks or pieces in another order, twice, or missing."""
    starts = [
        found.start() for found in re.finditer(rb"\xff[\xc0-\xcf\xd9-\xfe]|....[A-Za-z]{4}", bytes(data), re.DOTALL)
    ]
    if len(starts) > 2:
        first, second = sorted(dice.sample(starts, 2))
        part = data[first:second]
        dice.choice(
            (lambda: data.__delitem__(slice(first, second)), lambda: data.__setitem__(slice(first, first), part))
        )()
        at = dice.choice(starts)
        data[at:at] = part[:5000]


_MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [
    _flip, _flip, _number, _number, _cut, _drop, _double, _splice, _whole_parts,
]  # fmt: skip


def summed(data: bytes) -> bytes:
    """With the right sum under each chunk of a PNG, as far as it can be followed."""
    if not data.startswith(b"\x89PNG"):
        return data
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, at)
        if at + 12 + length > len(out):
            break
        struct.pack_into(">I", out, at + 8 + length, zlib.crc32(out[at + 4 : at + 8 + length]))
        at += 12 + length
    return bytes(out)


def outcome(data: bytes) -> str:
    """What became of it, or an error that tells what should not have."""
    try:
        photo = prepare(data, crop=len(data) % 2 == 0)
    except ImageRejected as rejected:
        return re.sub(r"[\d.]+", "N", str(rejected))
    with Image.open(io.BytesIO(photo.jpeg)) as image:
        image.load()
        seen = (image.format, image.mode, image.size)
    short, long = sorted((photo.width, photo.height))
    assert seen == ("JPEG", "RGB", (photo.width, photo.height)), seen
    assert short > wire.PHOTO_SIDE, seen
    assert long <= min(LONG_SIDE, wire.PHOTO_RATIO * short), seen
    assert len(photo.jpeg) <= JPEG_BYTES, len(photo.jpeg)
    return "good"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.photo.fuzz")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first file")
    asked = parser.parse_args()
    counts, began, slowest, wrong = Counter[str](), time.monotonic(), (0.0, 0), 0
    for number in range(asked.first, asked.first + asked.files):
        data, start = mutated(number, asked.seed), time.process_time()
        try:
            counts[outcome(data)] += 1
        except Exception as error:  # noqa: BLE001 - it is counted, and its file kept
            wrong += 1
            path = Path(tempfile.gettempdir(), f"fuzz-{asked.seed}-{number}.bin")
            path.write_bytes(data)
            print(f"seed {asked.seed}, file {number}: {type(error).__name__}: {error} ({path})", file=sys.stderr)
        slowest = max(slowest, (time.process_time() - start, number))
        if number % 5000 == 4999:
            print(f"{number + 1} files, {time.monotonic() - began:.0f} s, {wrong} wrong", file=sys.stderr)
    for what, count in counts.most_common(12):
        print(f"{count:8} {what}")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{wrong} of {asked.files} wrong; slowest {slowest[0]:.2f} s (file {slowest[1]}), at most {megabytes:.0f} MB")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
