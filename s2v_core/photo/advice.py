"""What a person should hear about a photo before money is spent on it."""

from bisect import bisect_left
from io import BytesIO
from itertools import accumulate

from PIL import Image, ImageFilter, ImageStat

from .prepare import Photo

_SMALL = 512
# A tenth of the pixels are brighter than this in a photo that is not too dark: 173 in the darkest sample portrait.
# The brightest tenth and the darkest one, rather than the mean: a black or a white background is no fault.
_DARK = 70
_BRIGHT = 185
# Of the sharpest sixteenth, as a portrait may have a soft background. The sample portraits have 1050 and more;
# blurred with a radius of 0.6 % of the long side (3 px of 512), 55 and less.
_BLURRED = 100
_LONG_SIDE = 320
_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


def warnings(photo: Photo) -> tuple[str, ...]:
    """Of the JPEG that is sent; none of them forbids it."""
    found = []
    with Image.open(BytesIO(photo.jpeg), formats=["JPEG"]) as image:
        if min(image.size) < _SMALL:
            found.append(
                f"Small: {image.width} × {image.height} px; a photo with more pixels keeps the likeness better."
            )
        scale = _LONG_SIDE / max(image.size)
        sampled = round(image.width * scale), round(image.height * scale)
        image.draft("L", sampled)
        grey = image.convert("L").resize(sampled, Image.Resampling.BICUBIC)
    if _percentile(grey, 90) < _DARK:
        found.append("Very dark: a photo with more light keeps the likeness better.")
    elif _percentile(grey, 10) > _BRIGHT:
        found.append("Very bright: a photo with less light keeps the likeness better.")
    # Without light nothing looks sharp.
    elif _sharpness(grey) < _BLURRED:
        found.append("Blurred: a sharp photo keeps the likeness better.")
    return tuple(found)


def _percentile(grey: Image.Image, percent: int) -> int:
    darker = list(accumulate(grey.histogram()))
    return bisect_left(darker, darker[-1] * percent / 100)


def _sharpness(grey: Image.Image) -> float:
    # The filter leaves the outermost pixels as they were.
    edges = grey.filter(_LAPLACIAN).crop((1, 1, grey.width - 1, grey.height - 1))
    across, down = [edges.width * n // 4 for n in range(5)], [edges.height * n // 4 for n in range(5)]
    tiles = [edges.crop((across[x], down[y], across[x + 1], down[y + 1])) for x in range(4) for y in range(4)]
    return max(ImageStat.Stat(tile).var[0] for tile in tiles)
