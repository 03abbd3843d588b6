"""Clips as files."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image, ImageDraw

from s2v_core.clip.encode import write

from .photos import PORTRAIT


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


def with_faces(path: Path, shown: Callable[[int], bool], portrait: Path = PORTRAIT) -> None:
    """A clip of 50 frames: a portrait that moves to the right, or nobody."""
    with Image.open(portrait) as image:
        face = image.convert("RGB").resize((180, 180))

    def drawn() -> Iterator[Image.Image]:
        for number in range(50):
            picture = Image.new("RGB", (480, 270), (120, 140, 160))
            if shown(number):
                picture.paste(face, (40 + 4 * number, 40))
            yield picture

    write(drawn(), path)


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
