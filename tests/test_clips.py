"""What is said about an MP4 on disk, and how one gets there."""

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image, ImageChops, ImageDraw

from s2v_core.clips import STILLS, Clip, NotAClip, describe, join, picture, pictures_of, split, write


def pictures(number: int = 25) -> Iterator[Image.Image]:
    for place in range(number):
        picture = Image.new("RGB", (320, 180), (200, 60, 30))
        ImageDraw.Draw(picture).ellipse((place * 8, 40, place * 8 + 80, 120), fill=(30, 90, 200))
        yield picture


def test_what_is_written_is_described(tmp_path: Path) -> None:
    write(pictures(), tmp_path / "clip.mp4", fps=25)
    assert describe(tmp_path / "clip.mp4") == Clip(width=320, height=180, seconds=1.0, frames=25)


def test_a_clip_is_h264_that_any_browser_plays_and_says_how_its_colours_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(pictures(), path, fps=25)
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        bt709 = 1
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.codec_context.colorspace, video.codec_context.color_range) == (bt709, 1)
        assert video.average_rate == 25
        frames = [frame.to_image() for frame in container.decode(video)]
    assert len(frames) == 25
    for frame, drawn in zip(frames, pictures(), strict=True):
        flat = (0, 0, 320, 36)
        difference = ImageChops.difference(frame.crop(flat), drawn.crop(flat))
        assert max(most for _, most in difference.getextrema()) < 8
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_frame_taken_apart_and_joined_is_the_same() -> None:
    # 642: a width whose lines are padded in memory.
    planes = split(next(pictures()).resize((642, 362)))
    assert [plane.size for plane in planes] == [(642, 362), (321, 181), (321, 181)]
    joined = join(planes).planes
    assert planes == [Image.frombytes("L", (p.width, p.height), bytes(p), "raw", "L", p.line_size) for p in joined]


def test_half_a_clip_never_appears(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(pictures(3), path)
    before = path.read_bytes()

    def broken() -> Iterator[Image.Image]:
        yield from pictures(10)
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="power"):
        write(broken(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write(pictures(), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"<html>not found</html>" * 50, id="a web page"),
        pytest.param(lambda data: data[:300], id="cut off in its index"),
        pytest.param(lambda data: data.replace(b"avc1", b"what"), id="an unknown codec"),
    ],
)
def test_what_is_no_clip_is_said_to_be_none(tmp_path: Path, whole: bytes, damage) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(damage(whole))
    with pytest.raises(NotAClip, match=r"clip\.mp4"):
        describe(path)


def test_a_list_of_other_files_opens_none_of_them(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "other.mp4").write_bytes(whole)
    path = tmp_path / "clip.mp4"
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(NotAClip, match=r"clip\.mp4 cannot be read"):
        describe(path)


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=48000)
        silence = av.AudioFrame("fltp", "mono", 1024)
        silence.planes[0].update(bytes(4 * 1024))
        silence.sample_rate = 48000
        out.mux(stream.encode(silence))
        out.mux(stream.encode(None))
    with pytest.raises(NotAClip, match=r"sound\.mp4 holds no video"):
        describe(path)


def test_a_clip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAClip, match=r"gone\.mp4 cannot be read: No such file"):
        describe(tmp_path / "gone.mp4")


def test_a_clip_is_shown_by_a_poster_and_by_five_frames_in_a_row(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(pictures(), path)
    poster, stills = (Image.open(made).convert("RGB") for made in picture(path))
    assert picture(path) == pictures_of(path)
    assert max(poster.size) == 480
    assert stills.size == (STILLS * 240, 135)
    # The blue disc goes from the left to the right.
    places = []
    for number in range(STILLS):
        blue = stills.crop((240 * number, 0, 240 * (number + 1), 135)).getchannel("B").point(lambda value: value > 120)
        places.append(blue.getbbox()[0])  # type: ignore[index]
    assert places == sorted(set(places))


def test_a_tall_clip_keeps_its_shape(tmp_path: Path) -> None:
    write((Image.new("RGB", (90, 160), (number, 0, 0)) for number in range(3)), tmp_path / "clip.mp4")
    poster, stills = (Image.open(made).convert("L") for made in picture(tmp_path / "clip.mp4"))
    assert poster.size == (270, 480)
    assert stills.size == (STILLS * 76, 135)


def test_what_is_no_clip_has_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no clip")
    with pytest.raises(NotAClip):
        picture(tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
