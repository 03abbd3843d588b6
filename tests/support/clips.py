"""Clips as files."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image, ImageDraw

from s2v_core.clip.encode import write


def drawn(number: int = 25) -> Iterator[Image.Image]:
    for place in range(number):
        picture = Image.new("RGB", (320, 180), (200, 60, 30))
        ImageDraw.Draw(picture).ellipse((place * 8, 40, place * 8 + 80, 120), fill=(30, 90, 200))
        yield picture


def small_clip() -> bytes:
    """A whole MP4."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write((Image.new("RGB", (64, 36), (number * 20, 40, 90)) for number in range(10)), path)
        return path.read_bytes()


@dataclass(frozen=True)
class Clip:
    """What an MP4 says about its video."""

    width: int
    height: int
    seconds: float
    frames: int


def describe(path: Path) -> Clip:
    with av.open(str(path), format="mp4") as container:
        video = container.streams.video[0]
        return Clip(video.width, video.height, container.duration / av.time_base, video.frames)
