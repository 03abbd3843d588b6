from collections.abc import Iterator

from PIL import Image, ImageDraw


def drawn(number: int = 25) -> Iterator[Image.Image]:
    for place in range(number):
        picture = Image.new("RGB", (320, 180), (200, 60, 30))
        ImageDraw.Draw(picture).ellipse((place * 8, 40, place * 8 + 80, 120), fill=(30, 90, 200))
        yield picture
