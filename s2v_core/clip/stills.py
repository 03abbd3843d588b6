"""What shows a clip where it does not play, made by a process of its own: `python s2v_core/clip/stills.py CLIP`.

It prints two JPEGs, each a line of base64: the poster, and `STILLS` of the clip's frames in a row; or, after `--size`,
width, height and seconds. Whatever else happens ends it. It imports nothing of the house: it starts at once, and has
nothing that could get out.
"""

import os
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO

import av
from av.video.reformatter import Interpolation
from PIL import Image

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

STILLS = 5
# A clip from outside may be longer and larger than any that was asked for.
MOST_FRAMES, _MOST_PIXELS, _MOST_RATIO = 1500, 4096 * 2304, 4
# The decoder is told too: it would take the memory of a frame before anybody can look at it.
_OPTIONS = {
    "codec_whitelist": "h264", "protocol_whitelist": "file", "threads": "1", "max_pixels": str(_MOST_PIXELS),
}  # fmt: skip


def limit(*, memory: int = 300_000_000, cpu_seconds: int = 5) -> None:
    """From here on: little memory and time, no file written, no core dumped."""
    if resource:
        for what, most in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_CPU, cpu_seconds),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            # One that is lower already cannot be raised.
            with suppress(ValueError, OSError):
                resource.setrlimit(what, (most, most))


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


def frames(path: str) -> list[Image.Image]:
    """`STILLS` of them, evenly over the clip, with a long side of 480 px."""
    found: list[Image.Image] = []
    with opened(path) as (video, decoded):
        long = max(video.width, video.height)
        shown = {"width": 480 * video.width // long, "height": 480 * video.height // long}
        last = min(video.frames or 1, MOST_FRAMES) - 1
        wanted = [round(last * (number + 0.5) / STILLS) for number in range(STILLS)]
        for number, frame in enumerate(decoded):
            if number in wanted:
                picture = frame.to_image(**shown, interpolation=Interpolation.AREA)  # type: ignore[no-untyped-call]
                found += [picture] * wanted.count(number)
            if number == wanted[-1]:
                break
    return found + found[-1:] * (STILLS - len(found))


def in_a_row(pictures: list[Image.Image]) -> Image.Image:
    height = 135
    width = round(height * pictures[0].width / pictures[0].height)
    row = Image.new("RGB", (width * len(pictures), height))
    for number, picture in enumerate(pictures):
        row.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (width * number, 0))
    return row


def size(path: str) -> tuple[int, int, float]:
    """Width and height in pixels, and the seconds of it, of a clip that can be opened."""
    with opened(path) as (video, decoded):
        next(decoded)
        return video.width, video.height, float((video.duration or 0) * (video.time_base or 0))


def main() -> None:
    limit()
    # A path that looks like a URL is none.
    path = os.path.abspath(sys.argv[-1])
    if sys.argv[1] == "--size":
        print(*(b64encode(str(each).encode()).decode() for each in size(path)), sep="\n")
        return
    pictures = frames(path)
    for picture in (pictures[STILLS // 2], in_a_row(pictures)):
        out = BytesIO()
        picture.save(out, "JPEG", quality=84)
        print(b64encode(out.getvalue()).decode())


if __name__ == "__main__":
    main()
