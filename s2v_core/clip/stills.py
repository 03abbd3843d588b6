"""What shows a clip where it does not play, made by a process of its own: `python s2v_core/clip/stills.py CLIP PHOTO`.

It prints lines of base64: the poster, `STILLS` of the clip's frames in a row, the faces of the photo and of the clip's
frames in a row, and where those were found, as JSON; the last two are empty if there is no face. A photo that is "" is
none. After `--size` it prints width, height and seconds. Whatever else happens ends it. It imports nothing of the house
but what finds faces: it starts at once, and has nothing that could get out.
"""

import json
import os
import runpy
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import Interpolation
from PIL import Image

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

STILLS = 5
# So many frames are looked at for faces, and so many of those are shown. Of these, `STILLS` are shown as they are.
LOOKED_AT, FACES = 25, 12
# A face's cell in pixels: how far apart the eyes are in it, and how far down.
_CELL, _APART, _DOWN = 104, 0.3, 0.44
# Of the processor's time, which ends at five seconds: who has taken more has no time for faces, or for more of them.
_TIME_FOR_FACES, _FACES_END = 3.0, 4.5
_MEMORY_FOR_FACES = 700_000_000
# A clip from outside may be longer and larger than any that was asked for.
MOST_FRAMES, _MOST_PIXELS, _MOST_RATIO = 1500, 4096 * 2304, 4
# The decoder is told too: it would take the memory of a frame before anybody can look at it.
_OPTIONS = {
    "codec_whitelist": "h264", "protocol_whitelist": "file", "threads": "1", "max_pixels": str(_MOST_PIXELS),
}  # fmt: skip


def limit(*, memory: int = 300_000_000, at_most: int = 0, cpu_seconds: int = 5, file_bytes: int = 0) -> None:
    """From here on: little memory and time, no file written, no core dumped; more memory later only up to `at_most`."""
    if resource:
        for what, now, most in (
            (resource.RLIMIT_AS, memory, at_most or memory),
            (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds),
            (resource.RLIMIT_FSIZE, file_bytes, file_bytes),
            (resource.RLIMIT_CORE, 0, 0),
        ):
            # One that is lower already cannot be raised.
            with suppress(ValueError, OSError):
                resource.setrlimit(what, (now, most))


@contextmanager
def opened(path: str) -> Iterator[tuple[av.VideoStream, Iterator[av.VideoFrame]]]:
    """A clip's video and its frames, all of one size. Raises `ValueError` if it has the shape of no clip."""
    # Only as an MP4: a playlist from outside could name other files to open.
    with av.open(path, format="mp4", options=_OPTIONS, metadata_errors="replace") as container:
        video = container.streams.video[0]
        video.codec_context.options = _OPTIONS
        size = width, height = video.width, video.height
        if not 0 < max(size) <= _MOST_RATIO * min(size):
            raise ValueError(f"{width} × {height} pixels are the shape of no clip")

        def decoded() -> Iterator[av.VideoFrame]:
            for frame in container.decode(video):
                if (frame.width, frame.height) != size:
                    raise ValueError(f"a frame has {frame.width} × {frame.height} pixels")
                yield frame

        yield video, decoded()


def frames(path: str) -> tuple[list[Image.Image], list[float]]:
    """`LOOKED_AT` of them, evenly over the clip, with a long side of 480 px, and the second of each."""
    found: list[Image.Image] = []
    seconds: list[float] = []
    with opened(path) as (video, decoded):
        long = max(video.width, video.height)
        shown = {"width": 480 * video.width // long, "height": 480 * video.height // long}
        last = min(video.frames or 1, MOST_FRAMES) - 1
        wanted = [round(last * (number + 0.5) / LOOKED_AT) for number in range(LOOKED_AT)]
        for number, frame in enumerate(decoded):
            if number in wanted:
                picture = frame.to_image(**shown, interpolation=Interpolation.AREA)  # type: ignore[no-untyped-call]
                found += [picture] * wanted.count(number)
                seconds += [round(frame.time or 0.0, 2)] * wanted.count(number)
            if number == wanted[-1]:
                break
    missing = LOOKED_AT - len(found)
    return found + found[-1:] * missing, seconds + seconds[-1:] * missing


def in_a_row(pictures: list[Image.Image]) -> Image.Image:
    height = 135
    width = round(height * pictures[0].width / pictures[0].height)
    row = Image.new("RGB", (width * len(pictures), height))
    for number, picture in enumerate(pictures):
        row.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (width * number, 0))
    return row


def faces_in_a_row(pictures: list[Image.Image], seconds: list[float], photo: str) -> tuple[bytes, bytes]:
    """The photo's face and `FACES` of the frames', with the eyes of all on one line; and what was found, as JSON.

    A frame without one has an empty cell. Both are empty if no frame has any.
    """
    find_faces = runpy.run_path(str(Path(__file__).parents[1] / "photo" / "face.py"))["find_faces"]

    def cell(picture: Image.Image) -> Image.Image | None:
        if time.process_time() > _FACES_END:
            raise TimeoutError
        faces = find_faces(picture)
        return aligned(picture, max(faces, key=lambda face: face.height)) if faces else None

    cells = [cell(picture) for picture in pictures]
    found = sum(each is not None for each in cells)
    if not found:
        return b"", b""
    shown = [LOOKED_AT * (2 * number + 1) // (2 * FACES) for number in range(FACES)]
    reference = None
    if photo:
        with Image.open(photo, formats=("JPEG",)) as image:
            image.thumbnail((640, 640), reducing_gap=2.0)
            reference = cell(image.convert("RGB"))
    row = Image.new("RGB", (_CELL * (1 + FACES), _CELL))
    for place, each in enumerate([reference, *(cells[number] for number in shown)]):
        if each:
            row.paste(each, (_CELL * place, 0))
    frames = [[seconds[number], cells[number] is not None] for number in shown]
    told = {"found": found, "of": LOOKED_AT, "reference": reference is not None, "frames": frames}
    return jpeg(row), json.dumps(told).encode()


def aligned(picture: Image.Image, face: Any) -> Image.Image:
    (right, right_y), (left, left_y), *_ = face.landmarks
    # Of a head that is turned the eyes are near each other.
    side = max(abs(left - right), 0.3 * face.height) / _APART
    across, down = (left + right) / 2 - side / 2, (left_y + right_y) / 2 - _DOWN * side
    box = round(across), round(down), round(across + side), round(down + side)
    return picture.crop(box).resize((_CELL, _CELL), Image.Resampling.BICUBIC)


def size(path: str) -> tuple[int, int, float]:
    """Width and height in pixels, and the seconds of it, of a clip that can be opened."""
    with opened(path) as (video, decoded):
        next(decoded)
        return video.width, video.height, float((video.duration or 0) * (video.time_base or 0))


def jpeg(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=84)
    return out.getvalue()


def put(*lines: bytes) -> None:
    for line in lines:
        print(b64encode(line).decode(), flush=True)


def main() -> None:
    limit(at_most=_MEMORY_FOR_FACES)
    options, (clip, photo) = sys.argv[1:-2], sys.argv[-2:]
    # A path that looks like a URL is none.
    path = os.path.abspath(clip)
    if options:
        put(*(str(each).encode() for each in size(path)))
        return
    pictures, seconds = frames(path)
    middles = [LOOKED_AT * (2 * number + 1) // (2 * STILLS) for number in range(STILLS)]
    put(jpeg(pictures[LOOKED_AT // 2]), jpeg(in_a_row([pictures[number] for number in middles])))
    row = told = b""
    if time.process_time() < _TIME_FOR_FACES:
        # The clip is closed, and numpy takes 150 MB of addresses.
        limit(memory=_MEMORY_FOR_FACES)
        # Whatever is the matter with them, the rest is kept.
        with suppress(Exception):
            row, told = faces_in_a_row(pictures, seconds, photo)
    put(row, told)


if __name__ == "__main__":
    main()
