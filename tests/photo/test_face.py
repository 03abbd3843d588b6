"""Faces are found where OpenCV's own YuNet finds them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from s2v_core.photo.face import find_faces

from ..support.photos import ASSETS

# What `FaceDetectorYN` of OpenCV 4.14 says of the sample portraits, in pixels of copies of these sizes.
EXPECTED = json.loads(Path(__file__).with_name("faces.json").read_text())
ALL = [(name, int(side)) for name, sizes in EXPECTED.items() for side in sizes]


@pytest.mark.parametrize(("name", "side"), ALL)
def test_a_face_is_where_opencv_finds_it(name: str, side: int) -> None:
    expected = EXPECTED[name][str(side)]
    with Image.open(ASSETS / "portraits" / name) as image:
        faces, scale = find_faces(image, side), expected["size"][0] / image.width
    assert len(faces) == len(expected["faces"])
    for face, known in zip(faces, expected["faces"], strict=True):
        assert face.score == pytest.approx(known["score"], abs=0.01)
        box = [each * scale for each in (face.left, face.top, face.width, face.height)]
        assert box == pytest.approx(known["box"], abs=0.5)
        points = [each * scale for point in face.landmarks for each in point]
        assert points == pytest.approx(known["landmarks"], abs=0.5)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (33, 31), (320, 9)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK"])
def test_a_picture_of_any_size_and_kind_can_be_looked_at(size: tuple[int, int], mode: str) -> None:
    assert find_faces(Image.new(mode, size)) == []


@pytest.mark.filterwarnings("error")
def test_what_is_no_picture_of_anything_has_no_face_and_no_complaint() -> None:
    for spread in (10, 60, 120):
        assert find_faces(Image.effect_noise((320, 320), spread), 640) == []


def test_two_faces_are_two_and_the_same_one_is_found_once() -> None:
    with (
        Image.open(ASSETS / "portraits" / "gardener.jpg") as one,
        Image.open(ASSETS / "portraits" / "sailor.jpg") as two,
    ):
        both = Image.new("RGB", (1024, 640))
        both.paste(one.resize((512, 640)), (0, 0))
        both.paste(two.resize((512, 640)), (512, 0))
    left, right = sorted(find_faces(both), key=lambda face: face.left)
    assert left.left + left.width < 512 < right.left
