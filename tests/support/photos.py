"""Pictures as files."""

import io
import threading
from pathlib import Path

from PIL import Image

from s2v_core import Photo

ASSETS = Path(__file__).parent.parent.parent / "assets"
PORTRAIT = ASSETS / "portraits" / "astronaut.png"


class Whereabouts(io.BytesIO):
    """A file that knows in which thread it was read."""

    thread = ""

    def read(self, size: int | None = -1) -> bytes:
        self.thread = threading.current_thread().name
        return super().read(size)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def small_photo() -> Photo:
    return Photo(encoded(Image.new("RGB", (320, 320), (40, 90, 160)), "JPEG"))
