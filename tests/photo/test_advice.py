"""What a person is told about a photo before money is spent on it."""

import io
from collections.abc import Callable

import pytest
from PIL import Image, ImageFilter

from s2v_core.photo.advice import warnings
from s2v_core.photo.prepare import Photo, prepare

from ..support.photos import ASSETS, encoded

pytestmark = pytest.mark.long

PORTRAITS = sorted(path for path in (ASSETS / "portraits").iterdir() if path.suffix in {".jpg", ".png"})
all_portraits = pytest.mark.parametrize("path", PORTRAITS, ids=lambda path: path.stem)


def portrait(change: Callable[[Image.Image], Image.Image], path: object = PORTRAITS[0]) -> Photo:
    with Image.open(path) as image:
        return prepare(encoded(change(image.convert("RGB"))))


@all_portraits
def test_no_sample_portrait_gets_a_warning(path: object) -> None:
    assert warnings(portrait(lambda image: image, path)) == ()


@all_portraits
@pytest.mark.parametrize("percent", [0.6, 1, 3])
def test_a_blurred_portrait_is_told(percent: float, path: object) -> None:
    blurred = portrait(lambda image: image.filter(ImageFilter.GaussianBlur(max(image.size) * percent / 100)), path)
    assert warnings(blurred) == ("Blurred: a sharp photo keeps the likeness better.",)


@all_portraits
def test_a_portrait_that_is_hardly_softer_is_not_told(path: object) -> None:
    soft = portrait(lambda image: image.filter(ImageFilter.GaussianBlur(max(image.size) * 0.2 / 100)), path)
    assert warnings(soft) == ()


def test_a_sharp_face_before_a_soft_background_is_not_blurred() -> None:
    def soft_around_the_face(image: Image.Image) -> Image.Image:
        soft = image.filter(ImageFilter.GaussianBlur(20))
        face = (150, 40, 300, 240)
        soft.paste(image.crop(face), face)
        return soft

    assert warnings(portrait(soft_around_the_face)) == ()


def test_a_photo_without_any_detail_is_blurred() -> None:
    assert warnings(prepare(encoded(Image.new("RGB", (600, 600), "grey")))) == (
        "Blurred: a sharp photo keeps the likeness better.",
    )


@all_portraits
def test_a_portrait_in_the_dark_or_in_glare_is_told(path: object) -> None:
    dark = portrait(lambda image: image.point(lambda value: value * 0.2), path)
    assert warnings(dark) == ("Very dark: a photo with more light keeps the likeness better.",)
    pale = portrait(lambda image: image.point(lambda value: 190 + value / 4), path)
    assert warnings(pale) == ("Very bright: a photo with less light keeps the likeness better.",)


@pytest.mark.parametrize("background", ["black", "white"])
def test_a_black_or_a_white_background_is_no_fault(background: str) -> None:
    def before_it(image: Image.Image) -> Image.Image:
        large = Image.new("RGB", (1000, 1200), background)
        large.paste(image, (240, 200))
        return large

    assert warnings(portrait(before_it)) == ()


@pytest.mark.parametrize(("short", "told"), [(511, True), (512, False)])
def test_a_small_portrait_is_told_with_its_size(short: int, told: bool) -> None:
    small = portrait(lambda image: image.resize((short, 640)))
    says = (f"Small: {short} × 640 px; a photo with more pixels keeps the likeness better.",)
    assert warnings(small) == (says if told else ())


def test_what_is_sent_is_judged_and_not_what_was_given() -> None:
    large = portrait(lambda image: image.resize((2400, 6000)))
    assert (large.width, large.height) == (820, 2048)
    assert warnings(large) == ()
    assert warnings(Photo(large.jpeg)) == ()


def test_a_warning_is_one_short_sentence() -> None:
    found = warnings(portrait(lambda image: image.resize((310, 310)).point(lambda value: value * 0.2)))
    assert len(found) == 2
    assert all(len(text) < 80 and text.endswith(".") and text.count(".") == 1 for text in found)


def test_the_photo_itself_is_left_as_it_is() -> None:
    photo = portrait(lambda image: image)
    before = photo.jpeg
    warnings(photo)
    assert photo.jpeg == before
    assert Image.open(io.BytesIO(before)).size == (photo.width, photo.height)
