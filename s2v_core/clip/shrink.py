"""A clip made small for an example, by a process of its own: `python -m s2v_core.clip.shrink CLIP`.

It prints the MP4, its poster and its length in seconds, each a line of base64. Whatever else happens ends it.
"""

import os
import sys
from base64 import b64encode
from fractions import Fraction
from io import BytesIO
from itertools import islice

import av
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Interpolation
from PIL import Image, ImageStat

from .example import CLIP_BYTES, POSTER_BYTES, small_jpeg
from .stills import MOST_FRAMES, limit, opened

_WIDTH, _HEIGHT = 640, 360
# The last one is hardly to be looked at.
_QUALITIES = range(24, 49, 3)
_MEMORY, _CPU_SECONDS = 1_000_000_000, 60


def encoded(path: str, *, quality: int) -> tuple[bytes, float]:
    """The clip within 640 × 360 px, H.264 without sound, its index in front; and its length in seconds.

    A higher `quality` is a worse and smaller one: x264's CRF.
    """
    out = BytesIO()
    with opened(path) as (video, decoded):
        most = min(video.frames or MOST_FRAMES, MOST_FRAMES)
        rate, size = Fraction(video.average_rate or 25), _within(video.width, video.height)
        # Nothing can be read back here to move the index to the front, so a place for it is kept there.
        with av.open(out, "w", format="mp4", options={"moov_size": str(4000 + 24 * most)}) as container:
            stream = _stream(container, rate, size, quality)
            _say_colours(stream, video)
            number = 0
            for number, frame in enumerate(islice(decoded, most), 1):
                small = frame.reformat(*size, "yuv420p", None, None, Interpolation.AREA, None, ColorRange.MPEG)
                small.pts, small.time_base, small.pict_type = number - 1, 1 / rate, PictureType.NONE
                container.mux(stream.encode(small))
            container.mux(stream.encode(None))
    return out.getvalue(), float(number / rate)


def _stream(container: OutputContainer, rate: Fraction, size: tuple[int, int], quality: int) -> av.VideoStream:
    x264 = {"preset": "slow", "crf": str(quality), "x264-params": "threads=2"}
    stream = container.add_stream("libx264", rate=rate, options=x264)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    return stream


def _say_colours(stream: av.VideoStream, source: av.VideoStream) -> None:
    # As the clip does. One that does not say is BT.709, as large ones are; a player takes a small one for BT.601.
    small, large = stream.codec_context, source.codec_context
    not_said, bt709, limited = 2, 1, 1
    for name in ("color_primaries", "color_trc", "colorspace"):
        value = getattr(large, name)
        setattr(small, name, bt709 if value == not_said else value)
    small.color_range = limited


def _within(width: int, height: int) -> tuple[int, int]:
    scale = min(_WIDTH / width, _HEIGHT / height, 1.0)
    # Even numbers, as the planes of half the size need them.
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def poster(path: str) -> Image.Image:
    """The first frame of the first second that shows something, or the very first."""
    with opened(path) as (video, decoded):
        size = dict(zip(("width", "height"), _within(video.width, video.height), strict=True))
        first = None
        for frame in islice(decoded, 25):
            picture: Image.Image = frame.to_image(**size, interpolation=Interpolation.AREA)  # type: ignore[no-untyped-call]
            first = first or picture
            if ImageStat.Stat(picture.convert("L")).stddev[0] > 8:
                return picture
    if first is None:
        raise ValueError("it has no frame")
    return first


def main() -> None:
    limit(memory=_MEMORY, cpu_seconds=_CPU_SECONDS)
    # A path that looks like a URL is none.
    path = os.path.abspath(sys.argv[1])
    shown = small_jpeg(poster(path), POSTER_BYTES)
    for quality in _QUALITIES:
        clip, seconds = encoded(path, quality=quality)
        if len(clip) <= CLIP_BYTES:
            break
    else:
        raise ValueError(f"it does not fit into {CLIP_BYTES} bytes")
    for part in (clip, shown, f"{seconds:.2f}".encode()):
        print(b64encode(part).decode())


if __name__ == "__main__":
    main()
