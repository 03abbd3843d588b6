"""What a person is told about a photo before money is spent on it."""

import io
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw, ImageFilter

from s2v_core import ImageRejected
from s2v_core.photo import advice
from s2v_core.photo.advice import BLURRED, BRIGHT, DARK, NO_FACE, ON_ITS_SIDE, UPSIDE_DOWN, advise, around
from s2v_core.photo.face import Face
from s2v_core.photo.prepare import Photo, prepare

from ..support.photos import ASSETS, encoded

pytestmark = pytest.mark.long

PORTRAITS = sorted(path for path in (ASSETS / "portraits").iterdir() if path.suffix in {".jpg", ".png"})
ASTRONAUT, GARDENER, HOPPER, SAILOR = PORTRAITS
all_portraits = pytest.mark.parametrize("path", PORTRAITS, ids=lambda path: path.stem)


def portrait(change: Callable[[Image.Image], Image.Image], path: object = PORTRAITS[0]) -> Photo:
    with Image.open(path) as image:
        return prepare(encoded(change(image.convert("RGB"))))


def warnings(photo: Photo) -> tuple[str, ...]:
    return advise(photo).warnings


def same(image: Image.Image) -> Image.Image:
    return image


def blurred(percent: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.filter(ImageFilter.GaussianBlur(max(image.size) * percent / 100))


def light(scale: float, offset: float = 0.0) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.point(lambda value: offset + value * scale)


def turned(degrees: int) -> Callable[[Image.Image], Image.Image]:
    """Lying so that it needs a turn of so many degrees."""
    return lambda image: image.rotate(degrees, expand=True)


def tilted(image: Image.Image) -> Image.Image:
    return image.rotate(20, fillcolor="grey")


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def beside(others: int, share: float = 1.0) -> Callable[[Image.Image], Image.Image]:
    """With the gardener so many times, as tall as a share of the picture, three in a row."""

    def change(image: Image.Image) -> Image.Image:
        with Image.open(GARDENER) as gardener:
            other = gardener.resize((round(480 * share), round(600 * share)))
        group = Image.new("RGB", (min(others + 1, 3) * 480, (others // 3 + 1) * 600), "grey")
        group.paste(image.resize((480, 600)), (0, 0))
        for number in range(1, others + 1):
            group.paste(other, (number % 3 * 480, number // 3 * 600))
        return group

    return change


def far(side: int) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        large = Image.new("RGB", (2048, 2048), (120, 140, 160))
        large.paste(image.resize((side, round(side * image.height / image.width))), (900, 900))
        return large

    return change


def drawing(image: Image.Image) -> Image.Image:
    return image.convert("L").filter(ImageFilter.SMOOTH).quantize(6).convert("RGB")


def covered(image: Image.Image) -> Image.Image:
    """Dark glasses over the eyes of the gardener."""
    ImageDraw.Draw(image).rectangle((190, 240, 320, 290), fill="black")
    return image


def nobody(kind: str) -> Callable[[Image.Image], Image.Image]:
    made = {
        "noise": lambda: Image.effect_noise((800, 800), 60).convert("RGB"),
        "grey": lambda: Image.new("RGB", (600, 600), "grey"),
        "landscape": lambda: Image.merge("RGB", [Image.linear_gradient("L").resize((900, 600))] * 3),
    }
    return lambda _: made[kind]()


TWO = "2 faces: the service may follow any of them."
SIX = "6 faces: the service may follow any of them."
# Each kind of picture, what is said of it, and by how much it is to be turned.
KINDS = [
    *[(f"as it is: {path.stem}", path, same, (), 0) for path in PORTRAITS],
    *[(f"needs {degrees}°: {path.stem}", path, turned(degrees),
       (UPSIDE_DOWN if degrees == 180 else ON_ITS_SIDE,), degrees)
      for path in (ASTRONAUT, HOPPER, SAILOR) for degrees in (90, 180, 270)],
    ("tilted by 20°", GARDENER, tilted, (), 0),
    ("mirrored", HOPPER, mirrored, (), 0),
    ("black and white", GARDENER, grey, (), 0),
    ("a drawing", SAILOR, drawing, (), 0),
    ("eyes covered", GARDENER, covered, (), 0),
    ("two faces", HOPPER, beside(1), (TWO,), 0),
    ("six faces", HOPPER, beside(5), (SIX,), 0),
    ("somebody small behind", HOPPER, beside(1, 0.3), (), 0),
    ("dark", GARDENER, light(0.2), (DARK,), 0),
    ("bright", GARDENER, light(0.25, 190), (BRIGHT,), 0),
    ("blurred", ASTRONAUT, blurred(0.6), (BLURRED,), 0),
    ("blurred and on its side", HOPPER, lambda image: turned(90)(blurred(1)(image)), (ON_ITS_SIDE, BLURRED), 90),
    *[(f"nobody: {kind}", GARDENER, nobody(kind), (NO_FACE, *also), 0)
      for kind, also in {"noise": (), "grey": (BLURRED,), "landscape": (BLURRED,)}.items()],
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "change", "said", "turn"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS]
)
def test_each_kind_of_picture_gets_the_sentence_that_is_due_and_no_other(
    path: object, change: Callable[[Image.Image], Image.Image], said: tuple[str, ...], turn: int
) -> None:
    found = advise(portrait(change, path))
    assert found.warnings == said
    assert found.turn == turn


@pytest.mark.parametrize("side", [230, 420])
def test_a_small_face_is_told_with_its_height_and_can_be_cropped_to(side: int) -> None:
    photo = portrait(far(side))
    found = advise(photo)
    (said,) = found.warnings
    height = int(said.removeprefix("The face is small (").split(" px")[0])
    assert height == pytest.approx(111 * side / 512, abs=8)
    assert found.crop
    cropped = prepare(photo.jpeg, crop="face")
    assert "cropped to the face" in cropped.changes
    assert cropped.width == cropped.height == 301
    again = advise(cropped)
    # There are no more pixels of it, and nothing more to crop.
    assert not again.crop
    assert again.faces == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_face_is_cut_out_of_a_photo_however_it_is_stored_and_turned(orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    large = far(420)(Image.open(ASTRONAUT).convert("RGB"))
    # As a camera stores what is upright after its turn and then ours.
    stored = large.rotate(turn, expand=True)
    steps = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
             4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
             7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}  # fmt: skip
    if steps[orientation] is not None:
        stored = stored.transpose(steps[orientation])
    cropped = prepare(encoded(stored, "JPEG", exif=exif, quality=95), crop="face", turn=turn)
    assert cropped.width == cropped.height == 301
    with Image.open(io.BytesIO(cropped.jpeg)) as image:
        (face,) = advice.faces_in(image)
    assert face.score > 0.9
    assert face.left + face.width / 2 == pytest.approx(150, abs=15)


def test_a_face_is_cut_out_of_a_photo_that_is_too_wide() -> None:
    wide = Image.new("RGB", (5000, 1000), (120, 140, 160))
    with Image.open(ASTRONAUT) as image:
        wide.paste(image.convert("RGB").resize((420, 420)), (1700, 300))
    cropped = prepare(encoded(wide), crop="face")
    assert {"cropped to fit", "cropped to the face"} <= set(cropped.changes)
    assert max(cropped.width, cropped.height) <= 2.5 * min(cropped.width, cropped.height)
    assert advise(cropped).faces == 1


@pytest.mark.parametrize("box", [(700.0, 10.0, 40.0, 40.0), (-50.0, 0.0, 50.0, 40.0), (0.0, 0.0, float("inf"), 9.0)])
def test_a_face_outside_the_picture_is_none(box: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "find_faces", lambda *_: [Face(*box, (), 0.95)])
    assert advise(prepare(encoded(Image.new("RGB", (640, 640), "grey")))).faces == 0


def test_a_photo_of_which_nothing_can_be_said_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[Face]:
        raise MemoryError

    monkeypatch.setattr(advice, "find_faces", fails)
    assert advise(portrait(same)) == advice.Advice(())


def test_no_face_can_be_cropped_to_where_there_is_none() -> None:
    with pytest.raises(ImageRejected, match="No face was found"):
        prepare(encoded(Image.new("RGB", (600, 600), "grey")), crop="face")


@pytest.mark.parametrize("size", [(301, 301), (301, 752), (2048, 820), (5000, 2000)])
def test_what_is_cut_around_a_face_can_be_sent(size: tuple[int, int]) -> None:
    for left, top, height in ((0, 0, 5), (size[0] - 40, size[1] - 60, 60), (10, 10, 0.9 * size[1])):
        box = around(Face(left, top, 0.8 * height, height, (), 1.0), size)
        sides = [round((box[at + 2] - box[at]) * size[at]) for at in (0, 1)]
        assert min(sides) > 300
        assert max(sides) <= 2.5 * min(sides)
        assert all(0 <= share <= 1 for share in box)


def test_a_turn_is_by_quarters() -> None:
    with pytest.raises(ValueError, match="turn"):
        prepare(ASTRONAUT, turn=45)


@all_portraits
@pytest.mark.parametrize("percent", [0.6, 1, 3])
def test_a_blurred_portrait_is_told(percent: float, path: object) -> None:
    # So blurred that no face is found in it any more, it is blurred all the same.
    said = warnings(portrait(blurred(percent), path))
    assert [each for each in said if each != NO_FACE] == [BLURRED]
    assert NO_FACE not in said or percent == 3


@all_portraits
def test_a_portrait_that_is_hardly_softer_is_not_told(path: object) -> None:
    assert warnings(portrait(blurred(0.2), path)) == ()


def test_a_sharp_face_before_a_soft_background_is_not_blurred() -> None:
    def soft_around_the_face(image: Image.Image) -> Image.Image:
        soft = image.filter(ImageFilter.GaussianBlur(20))
        face = (150, 40, 300, 240)
        soft.paste(image.crop(face), face)
        return soft

    assert warnings(portrait(soft_around_the_face)) == ()


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
