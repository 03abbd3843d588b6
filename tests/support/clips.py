"""Clips as files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

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
