"""What becomes of a photo before it is sent, and which photos are not."""

import asyncio
import base64
import io
import re
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

from s2v_core.errors import ImageRejected, RatioRejected
from s2v_core.photo.prepare import Photo, accept, accept_async, from_data_url, prepare, public_link

from ..support.photos import ASSETS, encoded
from ..support.waiting import until
from .hostile import ADVICE, exif, exif_segments, face, frame, jpeg, png

RED, GREEN, BLUE, WHITE = (230, 30, 30), (30, 200, 30), (30, 30, 230), (255, 255, 255)


def picture(size: tuple[int, int] = (400, 500), mode: str = "RGB") -> Image.Image:
    """Red, green, blue and white quarters, clockwise from the upper left."""
    image, (w, h) = Image.new("RGB", size, RED), size
    draw = ImageDraw.Draw(image)
    draw.rectangle((w // 2, 0, w, h // 2), GREEN)
    draw.rectangle((w // 2, h // 2, w, h), BLUE)
    draw.rectangle((0, h // 2, w // 2 - 1, h), WHITE)
    return image.convert(mode)


def decoded(photo: Photo) -> Image.Image:
    image = Image.open(io.BytesIO(photo.jpeg))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (photo.width, photo.height))
    image.load()
    return image


def close(one: tuple[int, ...], other: tuple[int, ...], most: int = 16) -> bool:
    return all(abs(a - b) <= most for a, b in zip(one, other, strict=True))


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    w, h = image.size
    return [image.getpixel(at) for at in ((20, 20), (w - 20, 20), (w - 20, h - 20), (20, h - 20))]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_three_formats_are_read_by_content_however_they_are_given(kind: str, tmp_path: Path) -> None:
    data = encoded(picture(), kind)
    path = tmp_path / "photo.txt"
    path.write_bytes(data)
    url = f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
    saved = io.BytesIO()
    saved.write(data)
    for source in (data, bytearray(data), memoryview(data), url, path, str(path), io.BytesIO(data), saved):
        photo = prepare(source)
        assert (photo.width, photo.height) == (400, 500)
        seen = corners(decoded(photo))
        assert all(close(a, b, 30) for a, b in zip(seen, (RED, GREEN, BLUE, WHITE), strict=True))


def test_a_good_photo_is_sent_unchanged_in_size_and_says_so() -> None:
    assert prepare(encoded(picture())).changes == ()


# Where the quarters of the stored picture are to be found when it is upright, by its orientation.
UPRIGHT = {
    1: (RED, GREEN, BLUE, WHITE),
    2: (GREEN, RED, WHITE, BLUE),
    3: (BLUE, WHITE, RED, GREEN),
    4: (WHITE, BLUE, GREEN, RED),
    5: (RED, WHITE, BLUE, GREEN),
    6: (WHITE, RED, GREEN, BLUE),
    7: (BLUE, GREEN, RED, WHITE),
    8: (GREEN, BLUE, WHITE, RED),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_leaves_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = prepare(encoded(picture(), kind, exif=exif))
    assert (photo.width, photo.height) == ((400, 500) if orientation < 5 else (500, 400))
    assert all(close(a, b, 30) for a, b in zip(corners(decoded(photo)), UPRIGHT[orientation], strict=True))
    assert ("turned upright" in photo.changes) == (orientation > 1)


def test_nothing_but_pixels_leaves() -> None:
    exif = Image.Exif()
    exif[0x010E] = "CANARY description"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    jpeg = (
        encoded(picture(), "JPEG", exif=exif, comment=b"CANARY comment", xmp=b"<x>CANARY xmp</x>") + b"CANARY trailer"
    )
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "CANARY text", zip=False)
    png = encoded(picture(), "PNG", pnginfo=text, exif=exif) + b"CANARY trailer"
    webp = encoded(picture(), "WEBP", exif=exif, xmp=b"<x>CANARY</x>")
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + b"CANARY profile"
    for data in (jpeg, png, webp, encoded(picture(), "JPEG", icc_profile=icc)):
        assert b"CANARY" in data
        photo = prepare(data)
        assert b"CANARY" not in photo.jpeg
        assert not decoded(photo).getexif()
        # SOI, JFIF, tables, frame, scan: no other application segment and no comment.
        assert not any(bytes((0xFF, marker)) in photo.jpeg[:600] for marker in (*range(0xE1, 0xF0), 0xFE))
    assert prepare(jpeg).changes == ("location and camera data removed",)


def png_of_16_bits(colour_type: int, pixel: tuple[int, ...]) -> bytes:
    row = b"\0" + struct.pack(f">{len(pixel)}H", *pixel) * 320
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 320, 320, 16, colour_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * 320)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("colour_type", "pixel", "expected"),
    [
        (0, (32896,), (128, 128, 128)),
        (0, (65535,), (255, 255, 255)),
        (2, (51400, 25700, 12850), (200, 100, 50)),
        (4, (0, 32896), (127, 127, 127)),
        (6, (51400, 0, 0, 65535), (200, 0, 0)),
    ],
    ids=["grey", "white", "colour", "grey, half transparent", "colour with alpha"],
)
def test_16_bits_are_scaled_and_not_clipped(
    colour_type: int, pixel: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert close(decoded(prepare(png_of_16_bits(colour_type, pixel))).getpixel((160, 160)), expected, 3)


def test_transparency_is_put_on_white() -> None:
    image = picture(mode="RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 200, 250))
    image.paste((255, 0, 0, 128), (200, 0, 400, 250))
    image.paste((0, 0, 0, 0), (200, 400, 400, 500))
    photo = prepare(encoded(image))
    seen = corners(decoded(photo))
    assert close(seen[0], WHITE, 3)
    assert close(seen[1], (255, 127, 127), 4)
    assert close(seen[2], WHITE, 3)
    assert photo.changes == ("transparency put on white",)
    palette = image.quantize(16)
    assert close(corners(decoded(prepare(encoded(palette))))[0], WHITE, 3)
    opaque = prepare(encoded(picture(mode="RGBA")))
    assert opaque.changes == ()


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "1", "LA"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    seen = corners(decoded(prepare(encoded(picture(mode=mode), kind))))
    wanted = corners(picture(mode=mode).convert("RGB"))
    assert all(close(a, b, 40) for a, b in zip(seen, wanted, strict=True))


def test_a_colour_profile_is_turned_into_srgb() -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    swapped = profile.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be")).replace(b"sRGB", b"odd!")
    photo = prepare(encoded(picture(), icc_profile=bytes(swapped)))
    assert "colours converted to sRGB" in photo.changes
    assert decoded(photo).getpixel((20, 20))[1] > 150, "red is green in this profile"
    plain = prepare(encoded(picture(), icc_profile=bytes(profile)))
    assert plain.changes == ()
    broken = prepare(encoded(picture(), icc_profile=b"no profile at all"))
    assert close(decoded(broken).getpixel((20, 20)), RED, 30)


def test_the_first_frame_of_an_animated_webp_is_sent() -> None:
    frames = [Image.new("RGB", (320, 320), colour) for colour in (RED, GREEN)]
    photo = prepare(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    assert close(decoded(photo).getpixel((9, 9)), RED, 6)


@pytest.mark.parametrize("size", [(5000, 2000), (4095, 1638), (2000, 5000), (4032, 3024), (2049, 2049), (3000, 1200)])
def test_a_large_photo_is_made_smaller_within_the_allowed_ratio(size: tuple[int, int]) -> None:
    for kind in ("JPEG", "PNG"):
        photo = prepare(encoded(Image.new("RGB", size, RED), kind))
        short, long = sorted((photo.width, photo.height))
        assert 1500 <= long <= 2048
        assert long <= 2.5 * short
        assert abs(photo.width / photo.height - size[0] / size[1]) < 0.01 * size[0] / size[1]
        assert photo.changes == ("made smaller",)


def test_even_noise_makes_a_body_under_900_kb() -> None:
    noise = Image.effect_noise((2048, 2048), 120).convert("RGB")
    photo = prepare(encoded(noise, "JPEG", quality=95))
    assert len(photo.data_url) + 6 * 2000 < 900_000
    assert min(photo.width, photo.height) > 300


def test_a_12_megapixel_photo_needs_little_memory() -> None:
    """In a process of its own; the time is a figure for `make bench`, not for a test."""
    script = """if True:
        import io, re, sys
        from s2v_core.photo.prepare import prepare
        data = sys.stdin.buffer.read()
        photo = prepare(data)
        peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
        print(int(peak[1]) // 1024, len(photo.data_url))
    """
    portrait = Image.open(ASSETS / "portraits" / "astronaut.png").convert("RGB").resize((4032, 3024))
    grainy = Image.blend(portrait, Image.effect_noise(portrait.size, 40).convert("RGB"), 0.15)
    data = encoded(grainy, "JPEG", quality=92)
    assert 3_000_000 < len(data) < 6_000_000
    run = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True)
    megabytes, body = map(int, run.stdout.split())
    assert megabytes < 150
    assert body < 900_000


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty: it has 0 bytes"),
        (b"hello, I am a text", "not a picture"),
        (b"\0" * 100, "not a picture"),
        (b"RIFF\x24\0\0\0AVI LIST", "not a picture"),
        (encoded(picture(), "GIF"), "is GIF; the service takes JPEG, PNG and WebP"),
        (encoded(picture(), "BMP"), "is BMP"),
        (encoded(picture(), "TIFF"), "is TIFF"),
        (encoded(picture(), "AVIF"), "is AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "is a video"),
        (b"%PDF-1.7", "is PDF"),
        (b"8BPS\0\1", "is PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "is EPS"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "is SVG"),
        (encoded(picture(), "JPEG")[:2000], "damaged"),
        (encoded(picture())[:300], "damaged"),
        (encoded(picture(), "WEBP")[:400], "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "damaged"),
        (encoded(picture((300, 400))), "300 × 400 px; its short side must be over 300 px"),
        (encoded(Image.new("L", (1, 1))), "1 × 1 px; its short side"),
        (encoded(picture((302, 760))), "302 × 760 px.*between 2:5 and 5:2"),
        (encoded(picture((760, 302))), "760 × 302 px.*between 2:5 and 5:2"),
        (encoded(Image.new("1", (8000, 5001))), "a PNG of 40.1 million pixels; the limit is 40 million. .* as a JPEG"),
        (b"\xff\xd8\xff" + b"\0" * 20_000_000, "20.1 MB; the limit is 20 MB"),
    ],
)
def test_a_photo_that_is_not_accepted_hears_the_rule_the_value_and_what_to_do(data: bytes, says: str) -> None:
    for source in (data, io.BytesIO(data)):
        with pytest.raises(ImageRejected, match=says) as caught:
            prepare(source)
        assert re.search(ADVICE, str(caught.value)), "it says what to do"
        assert caught.value.reason, "it can be written down, and said in other words"
        assert len(re.findall(r"\.(?!\d)", str(caught.value))) == 2


@pytest.mark.parametrize(
    ("whole", "cut"),
    [
        (jpeg(), 2),
        (jpeg(), 1),
        (jpeg(progressive=True), 2),
        (jpeg(restart_marker_rows=1), 2),
        (encoded(face(mode="CMYK"), "JPEG"), 2),
        (jpeg(exif_segments(exif([(0x112, 3, 1, 6)], jpeg()))), 2),
        (png(), 12),
        (png(), 5),
    ],
    ids=["jpeg", "half a mark", "progressive", "restarts", "CMYK", "another in its EXIF", "png", "half a chunk"],
)
def test_a_photo_that_lacks_nothing_but_its_last_mark_is_sent_like_the_whole(whole: bytes, cut: int) -> None:
    assert prepare(whole[:-cut]).jpeg == prepare(whole).jpeg
    with pytest.raises(ImageRejected, match="is damaged"):
        prepare(whole[: -cut - 200])


@pytest.mark.parametrize(
    "data",
    [
        jpeg() + b"\xff\xd9\xff\xd9",
        jpeg() + jpeg(),
        encoded(face(), "MPO", save_all=True, append_images=[face((8, 8))]),
    ],
    ids=["several marks", "two photos", "a phone's several pictures"],
)
def test_what_follows_a_jpeg_is_no_part_of_it(data: bytes) -> None:
    assert prepare(data).jpeg == prepare(jpeg()).jpeg


@pytest.mark.parametrize("size", [(8000, 6000), (12_000, 9000)], ids=["48 million pixels", "108 million pixels"])
def test_a_phone_s_largest_jpeg_is_made_smaller(size: tuple[int, int]) -> None:
    photo = prepare(frame(jpeg(), width=size[0], height=size[1]))
    assert (1600 <= photo.width <= 2048, photo.width / photo.height) == (True, size[0] / size[1])
    assert photo.changes == ("made smaller",)


def test_a_pixel_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    bomb += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(ImageRejected, match="3600 million pixels"):
        prepare(bomb)


def test_a_photo_at_the_limits_is_accepted() -> None:
    assert prepare(encoded(picture((301, 301)))).width == 301
    assert prepare(encoded(picture((302, 755)))).height == 755


@pytest.mark.parametrize("size", [(302, 760), (760, 302), (400, 20_000)])
def test_a_photo_that_cropping_would_mend_is_rejected_for_its_ratio(size: tuple[int, int]) -> None:
    with pytest.raises(RatioRejected, match="between 2:5 and 5:2"):
        prepare(encoded(picture(size)))
    with pytest.raises(ImageRejected, match="short side") as caught:
        prepare(encoded(picture((300, 900))), crop=True)
    assert not isinstance(caught.value, RatioRejected)


def test_a_jpeg_that_is_too_large_to_be_cropped_is_told_to_be_cropped_first() -> None:
    with pytest.raises(RatioRejected):
        prepare(frame(jpeg(), width=65_500, height=1270))
    with pytest.raises(ImageRejected, match=r"is 65500 × 1270 px, too large to be cropped here\. Crop it first"):
        prepare(frame(jpeg(), width=65_500, height=1270), crop=True)


def bands(size: tuple[int, int], orientation: int, kind: str) -> bytes:
    """Ten bands along the long side as a person sees it, each brighter than the one before it, and stored turned."""
    w, h = size
    image = Image.new("L", size)
    for n in range(10):
        box = (0, h * n // 10, w, h * (n + 1) // 10) if h > w else (w * n // 10, 0, w * (n + 1) // 10, h)
        image.paste(25 * n + 5, box)
    turn = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 5: Image.Transpose.TRANSPOSE,
            7: Image.Transpose.TRANSVERSE, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM}.get(orientation)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image.transpose(turn) if turn is not None else image
    return encoded(stored.convert("RGB"), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("scale", [1, pytest.param(5, marks=pytest.mark.long)], ids=["small", "large"])
def test_a_tall_photo_keeps_the_part_above_its_middle(orientation: int, kind: str, scale: int) -> None:
    # 7 of 16 parts are let go: 0.3 of them above, which is 1.3 bands, and 0.7 below, which is 3.1.
    photo = prepare(bands((360 * scale, 1600 * scale), orientation, kind), crop=True)
    assert (photo.width, photo.height) == ((360, 900) if scale == 1 else (820, 2048))
    grey, middle = decoded(photo).convert("L"), photo.width // 2
    seen = grey.getpixel((middle, 5)), grey.getpixel((middle, photo.height - 5))
    assert close(seen, (25 * 1 + 5, 25 * 6 + 5), 7)
    assert "cropped to fit" in photo.changes
    assert ("made smaller" in photo.changes) == (scale == 5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_wide_photo_keeps_its_middle(orientation: int) -> None:
    photo = prepare(bands((3000, 400), orientation, "PNG"), crop=True)
    assert (photo.width, photo.height) == (1000, 400)
    grey = decoded(photo).convert("L")
    assert close((grey.getpixel((5, 200)), grey.getpixel((994, 200))), (25 * 3 + 5, 25 * 6 + 5), 7)


def test_a_photo_that_fits_is_not_cropped() -> None:
    assert prepare(encoded(picture((302, 755))), crop=True) == prepare(encoded(picture((302, 755))))


@pytest.mark.parametrize("size", [(301, 753), (333, 833), (2001, 5003), (9973, 301)])
def test_an_odd_size_is_cropped_within_the_allowed_ratio(size: tuple[int, int]) -> None:
    photo = prepare(encoded(Image.new("RGB", size, RED), "JPEG"), crop=True)
    short, long = sorted((photo.width, photo.height))
    assert short > 300
    assert 2.49 * short < long <= 2.5 * short


@pytest.mark.parametrize(
    "name", ["missing.jpg", ".", "bad\0name.jpg"], ids=["missing", "a folder", "a NUL in the name"]
)
def test_a_file_that_cannot_be_opened_is_rejected_with_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImageRejected, match="cannot be opened: .*" + ADVICE):
        prepare(str(tmp_path / name))


class Odd(io.BytesIO):
    def read(self, size: int | None = -1) -> str:  # type: ignore[override]
        return "text"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (picture(), "is given as Image. Give its path, its bytes, a data URL or a file; save a PIL image"),
        (None, "is given as NoneType"),
        (5, "is given as int"),
        ([b"photo"], "is given as list"),
        (io.StringIO("text"), "opened in binary mode"),
        (Odd(), "opened in binary mode"),
        ("https://photos.example/a.jpg", "is a link, which is never opened here"),
        ("data:image/png;base64,%%%", "base64 is damaged"),
        ("data:text/plain,hello", "neither a data URL"),
    ],
    ids=["PIL", "None", "int", "list", "text", "a file of text", "link", "broken data URL", "other data URL"],
)
def test_what_is_no_source_of_a_photo_is_told_what_to_give(source: object, says: str) -> None:
    with pytest.raises(ImageRejected, match=says) as caught:
        prepare(source)  # type: ignore[arg-type]
    assert re.search(ADVICE, str(caught.value))


def test_a_closed_file_is_told_to_be_opened() -> None:
    file = io.BytesIO(encoded(picture()))
    file.close()
    with pytest.raises(ImageRejected, match="opened in binary mode"):
        prepare(file)


def test_the_data_url_holds_the_jpeg() -> None:
    photo = prepare(encoded(picture()))
    assert base64.b64decode(photo.data_url.removeprefix("data:image/jpeg;base64,")) == photo.jpeg
    assert from_data_url(photo.data_url) == photo.jpeg
    assert "jpeg" not in repr(photo)


def test_a_jpeg_alone_is_a_photo_of_the_same_size() -> None:
    photo = prepare(encoded(picture((320, 440)), "WEBP"))
    kept = Photo(photo.jpeg)
    assert (kept.width, kept.height) == (320, 440)
    assert kept.data_url == photo.data_url


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,%%%", "data:text/plain;base64,AAAA", "data:image/png,AAAA", "AAAA"]
)
def test_a_broken_data_url_is_rejected(url: str) -> None:
    with pytest.raises(ImageRejected, match=ADVICE):
        from_data_url(url)


def test_a_public_link_is_passed_on_as_it_is() -> None:
    url = "https://photos.example/a/b.jpg?size=1"
    assert accept(f" {url} ") == public_link(url) == url


def test_what_was_accepted_once_is_not_looked_at_again() -> None:
    for accepted in (Photo(b"a JPEG that was made here"), public_link("https://photos.example/a.jpg")):
        assert accept(accepted) is accepted


@pytest.mark.parametrize(
    "url",
    ["http://photos.example/a.jpg", "https://", "https://me:pass@photos.example/a.jpg", "https://photos.example:8443/a",
     "https://local/a.jpg", "https://photos.example/a b.jpg", "https://[::1", "https://photos.example/" + "a" * 2000],
)  # fmt: skip
def test_a_link_that_the_service_could_not_open_is_rejected(url: str) -> None:
    with pytest.raises(ImageRejected, match="link"):
        accept(url)


class Slow(io.BytesIO):
    """A photo that takes its time, and counts how many of its kind are being read at once, and in which threads."""

    reading: ClassVar[list[str]] = []
    most: ClassVar[list[int]] = []
    hurry: ClassVar[threading.Event] = threading.Event()
    seconds: ClassVar[float]

    def read(self, size: int | None = -1) -> bytes:
        self.reading.append(threading.current_thread().name)
        self.most.append(len(self.reading))
        self.hurry.wait(self.seconds)
        self.reading.pop()
        return super().read(size)


def slow_photos(count: int, seconds: float = 0.03) -> list[Slow]:
    Slow.seconds = seconds
    for each in (Slow.reading, Slow.most, Slow.hurry):
        each.clear()
    return [Slow(encoded(picture((301, 301)))) for _ in range(count)]


def test_two_photos_at_most_are_decoded_at_once_in_the_whole_process() -> None:
    photos = slow_photos(8)
    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(prepare, photos))) == 8
    assert max(Slow.most) == 2


def test_a_photo_that_is_rejected_makes_room_for_the_next() -> None:
    for _ in range(5):
        with pytest.raises(ImageRejected):
            prepare(b"no photo")
    assert prepare(encoded(picture())).width == 400


async def test_photos_wait_without_holding_up_other_work() -> None:
    ready = prepare(encoded(picture()))
    photos = [asyncio.create_task(accept_async(photo)) for photo in slow_photos(30, 60.0)]
    await until(lambda: len(Slow.reading) == 2, "two photos are being read")
    # The ledger's writes go this way.
    await asyncio.gather(*(asyncio.to_thread(int) for _ in range(20)))
    assert await accept_async(ready) is ready
    assert not any(photo.done() for photo in photos)
    Slow.hurry.set()
    assert {photo.width for photo in await asyncio.gather(*photos)} == {301}
    assert max(Slow.most) == 2
