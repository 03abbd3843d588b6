"""Photos that mean harm are refused with a sentence, or accepted, in little time and memory."""

import re
from collections.abc import Iterator

import pytest
from PIL import Image, ImageFile

from s2v_core.errors import ImageRejected
from s2v_core.photo.container import strip
from s2v_core.photo.pixels import JPEG_BYTES
from s2v_core.photo.prepare import prepare

from ..support.photos import encoded
from .hostile import ADVICE, FILES, File, Sandbox, face, jpeg, png, profile, segment

pytestmark = pytest.mark.long

CPU_SECONDS, MEGABYTES = 3.0, 300


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_hostile_file_has_its_verdict_in_little_time_and_memory(file: File, sandbox: Sandbox) -> None:
    trial = sandbox.tries(file.make())
    if file.says is None:
        assert (trial.verdict, trial.size) == ("good", file.size)
        assert len(trial.jpeg) <= JPEG_BYTES
    else:
        assert re.fullmatch(rf"(Image|Ratio)Rejected: .*{file.says}.*", trial.verdict)
        assert re.search(ADVICE, trial.verdict)
    # The processor's seconds: on a busy machine the clock's are many more.
    assert trial.cpu_seconds <= CPU_SECONDS
    assert trial.megabytes <= MEGABYTES


def test_there_are_many_hostile_files() -> None:
    assert len({file.name for file in FILES}) == len(FILES) >= 60


def test_the_court_sees_what_a_file_costs(sandbox: Sandbox) -> None:
    """Else the figures above would say nothing: the same pixels, few and many."""
    small, large = (sandbox.tries(encoded(Image.new("RGB", size), "PNG")) for size in ((320, 320), (6000, 6000)))
    assert small.verdict == large.verdict == "good"
    assert small.megabytes < 90
    assert large.megabytes > small.megabytes + 6000 * 6000 * 4 / 2**20
    assert large.cpu_seconds > 0.1


@pytest.mark.parametrize(
    ("kind", "options", "spare"),
    [
        ("JPEG", {}, 2),
        ("JPEG", {"progressive": True}, 2),
        ("JPEG", {"restart_marker_rows": 1}, 2),
        ("PNG", {}, 12),
        ("WEBP", {}, 0),
    ],
    ids=["jpeg", "jpeg, progressive", "jpeg with restarts", "png", "webp"],
)
def test_a_photo_that_is_cut_is_damaged_unless_its_pixels_are_all_there(
    kind: str, options: dict[str, object], spare: int
) -> None:
    data = encoded(face((304, 320)).quantize(32).convert("RGB"), kind, **options)
    for length in {*range(20, 400), *range(400, len(data), 101), *range(len(data) - 40, len(data) - spare)}:
        with pytest.raises(ImageRejected, match="is damaged"):
            prepare(data[:length])
    assert {prepare(data[:length]) for length in range(len(data) - spare, len(data) + 1)} == {prepare(data)}


def test_a_decoder_never_fills_up_what_is_missing() -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_damaged_pixels_are_not_sent_as_a_black_picture() -> None:
    whole = png()
    with pytest.raises(ImageRejected, match="is damaged"):
        prepare(whole[:60] + bytes((whole[60] ^ 1,)) + whole[61:])


@pytest.mark.parametrize(("padding", "used"), [(3_000_000, True), (4_000_000, False)])
def test_a_colour_profile_of_more_than_4_mb_is_left_out(padding: int, used: bool) -> None:
    data = encoded(face(), "PNG", icc_profile=profile() + bytes(padding))
    assert ("colours converted to sRGB" in prepare(data).changes) == used


@pytest.mark.parametrize(
    "data",
    [
        jpeg(segment(0xFE, b"CANARY")),
        jpeg(segment(0xE7, b"CANARY")),
        jpeg() + b"CANARY",
        encoded(face(), "JPEG", exif=b"Exif\0\0II*\0CANARY"),
    ],
    ids=["comment", "segment", "trailer", "exif"],
)
def test_what_the_file_carried_reaches_no_decoder(data: bytes) -> None:
    """`render` gets the parts and never the file; of the EXIF block it reads two numbers itself."""
    parts = strip(data, "JPEG")
    assert b"CANARY" in data
    assert parts.pixels
    assert not any(b"CANARY" in each for each in (parts.pixels, parts.closed_otherwise(), parts.profile))
