"""A clip and its portrait become an example: small, whole, or not there."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import pytest
from PIL import Image, ImageDraw

from s2v_core.clip.encode import write
from s2v_core.clip.example import CLIP_BYTES, PORTRAIT_BYTES, POSTER_BYTES, make, small_jpeg
from s2v_core.clip.pictures import NotAClip

from ..support.clips import Clip, describe, drawn

FACTS = {"scene": "She smiles – 微笑.", "made_by": "302.AI · S2V-01", "simulated": False}
FILES = ["clip.mp4", "example.json", "portrait.jpg", "poster.jpg"]


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """Tall, with its edges marked, and as hard to compress as a photo gets."""
    photo = Image.frombytes("RGB", (600, 900), random.Random(7).randbytes(600 * 900 * 3))
    ImageDraw.Draw(photo).rectangle((0, 0, 599, 899), outline=(255, 0, 0), width=40)
    photo.save(tmp_path / "photo.jpg", quality=95)
    return tmp_path / "photo.jpg"


def noise(number: int, size: tuple[int, int] = (640, 360)) -> Iterator[Image.Image]:
    for seed in range(number):
        yield Image.frombytes("RGB", size, random.Random(seed).randbytes(size[0] * size[1] * 3))


def plain(size: tuple[int, int], *colours: tuple[int, int, int]) -> Iterator[Image.Image]:
    for colour in colours:
        picture = Image.new("RGB", size, colour)
        if colour != (0, 0, 0):
            ImageDraw.Draw(picture).rectangle((0, 0, size[0] // 2, size[1]), fill=(250, 250, 250))
        yield picture


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_example_is_a_small_clip_its_poster_its_portrait_and_its_facts(tmp_path: Path, portrait: Path) -> None:
    write((frame.resize((1280, 720)) for frame in drawn(50)), tmp_path / "large.mp4")
    make(tmp_path / "all" / "sea", clip=tmp_path / "large.mp4", portrait=portrait, facts=FACTS)
    folder = tmp_path / "all" / "sea"
    assert (files(tmp_path / "all"), files(folder)) == (["sea"], FILES)
    assert json.loads((folder / "example.json").read_text()) == FACTS | {"seconds": 2.0}
    assert describe(folder / "clip.mp4") == Clip(width=640, height=360, seconds=2.0, frames=50)
    with av.open(str(folder / "clip.mp4")) as container:
        assert not container.streams.audio
        context = container.streams.video[0].codec_context
        bt709, limited = 1, 1
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (bt709, limited)
        last = [frame.to_image() for frame in container.decode(video=0)][-1]
    # As it was: a blue disc that has gone to the right, on red.
    for place, colour in (((20, 20), (200, 60, 30)), ((640 - 20, 160), (200, 60, 30))):
        assert last.getpixel(place) == pytest.approx(colour, abs=12)
    data = (folder / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with Image.open(folder / "poster.jpg") as poster:
        assert (poster.format, poster.size) == ("JPEG", (640, 360))


def test_the_portrait_of_an_example_is_whole(tmp_path: Path, portrait: Path) -> None:
    write(drawn(5), tmp_path / "clip.mp4")
    make(tmp_path / "sea", clip=tmp_path / "clip.mp4", portrait=portrait, facts=FACTS)
    with Image.open(tmp_path / "sea" / "portrait.jpg") as small:
        assert small.size == (512, 768)
        edges = [small.getpixel(place) for place in ((6, 6), (505, 6), (6, 761), (505, 761))]
    assert all(red > 200 and green < 90 for red, green, _ in edges)  # type: ignore[misc]


def test_what_is_hard_to_compress_loses_quality_until_it_fits(tmp_path: Path, portrait: Path) -> None:
    write(noise(12), tmp_path / "clip.mp4")
    make(tmp_path / "sea", clip=tmp_path / "clip.mp4", portrait=portrait, facts=FACTS)
    most = {"clip.mp4": CLIP_BYTES, "poster.jpg": POSTER_BYTES, "portrait.jpg": PORTRAIT_BYTES}
    sizes = {name: (tmp_path / "sea" / name).stat().st_size for name in most}
    assert all(most[name] / 4 < size <= most[name] for name, size in sizes.items()), sizes


def test_a_picture_that_could_not_fit_is_as_small_as_it_gets() -> None:
    (picture,) = noise(1, (64, 64))
    with Image.open(BytesIO(small_jpeg(picture, 1))) as small:
        assert small.size == (64, 64)


@pytest.mark.parametrize(
    ("size", "shown"),
    [((720, 1280), (202, 360)), ((1280, 544), (640, 272)), ((320, 180), (320, 180)), ((640, 362), (636, 360))],
    ids=["tall", "wide", "small", "nearly"],
)
def test_an_example_keeps_the_shape_of_its_clip(
    size: tuple[int, int], shown: tuple[int, int], tmp_path: Path, portrait: Path
) -> None:
    write(plain(size, (10, 90, 200)), tmp_path / "clip.mp4")
    make(tmp_path / "sea", clip=tmp_path / "clip.mp4", portrait=portrait, facts=FACTS)
    facts = describe(tmp_path / "sea" / "clip.mp4")
    assert (facts.width, facts.height) == shown
    with Image.open(tmp_path / "sea" / "poster.jpg") as poster:
        assert poster.size == shown


def test_a_poster_is_the_first_frame_that_shows_something(tmp_path: Path, portrait: Path) -> None:
    black, red, blue = (0, 0, 0), (220, 20, 20), (20, 20, 220)
    write(plain((320, 180), black, black, red, blue), tmp_path / "clip.mp4")
    make(tmp_path / "sea", clip=tmp_path / "clip.mp4", portrait=portrait, facts=FACTS)
    with Image.open(tmp_path / "sea" / "poster.jpg") as poster:
        assert poster.getpixel((300, 90)) == pytest.approx(red, abs=30)
    write(plain((320, 180), black, black), tmp_path / "clip.mp4")
    make(tmp_path / "night", clip=tmp_path / "clip.mp4", portrait=portrait, facts=FACTS)
    assert (tmp_path / "night" / "poster.jpg").stat().st_size


def test_of_an_example_that_fails_nothing_is_left(tmp_path: Path, portrait: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"<html>" * 100)
    write(drawn(3), tmp_path / "clip.mp4")
    examples = tmp_path / "examples"
    examples.mkdir()
    with pytest.raises(NotAClip, match=r"bad\.mp4"):
        make(examples / "sea", clip=tmp_path / "bad.mp4", portrait=portrait, facts=FACTS)
    with pytest.raises(FileNotFoundError):
        make(examples / "sea", clip=tmp_path / "clip.mp4", portrait=tmp_path / "gone.jpg", facts=FACTS)
    (examples / "sea").mkdir()
    with pytest.raises(FileExistsError):
        make(examples / "sea", clip=tmp_path / "clip.mp4", portrait=portrait, facts=FACTS)
    assert (files(examples), files(examples / "sea")) == (["sea"], [])


def test_a_clip_is_made_small_within_bounds_by_a_process_that_writes_no_file(tmp_path: Path) -> None:
    write(drawn(3), tmp_path / "clip.mp4")
    script = (
        "import resource, sys; from s2v_core.clip import shrink; shrink.main(); "
        "kinds = resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE; "
        "print(*map(resource.getrlimit, kinds))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "clip.mp4")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[3] == "(1000000000, 1000000000) (60, 60) (0, 0)"


def test_an_example_that_takes_too_long_is_none(tmp_path: Path, portrait: Path) -> None:
    write(drawn(3), tmp_path / "clip.mp4")
    with pytest.raises(NotAClip, match="TimeoutError"):
        make(tmp_path / "sea", clip=tmp_path / "clip.mp4", portrait=portrait, facts=FACTS, timeout_seconds=0.01)


def test_half_an_example_is_never_seen(tmp_path: Path, portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(drawn(3), tmp_path / "clip.mp4")
    seen: list[list[str]] = []
    whole = os.fsync

    def looked(file: int) -> None:
        whole(file)
        seen.append(files(tmp_path / "examples"))
        if len(seen) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", looked)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "examples" / "sea", clip=tmp_path / "clip.mp4", portrait=portrait, facts=FACTS)
    assert {name.endswith(".part") for names in seen for name in names} == {True}
    assert files(tmp_path / "examples") == []
