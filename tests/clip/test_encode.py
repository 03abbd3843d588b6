"""How a clip gets onto the disk."""

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image, ImageChops

from s2v_core.clip.encode import join, split, write

from ..support.clips import drawn


def test_a_clip_is_h264_that_any_browser_plays_and_says_how_its_colours_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(drawn(), path, fps=25)
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        bt709 = 1
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.codec_context.colorspace, video.codec_context.color_range) == (bt709, 1)
        assert video.average_rate == 25
        frames = [frame.to_image() for frame in container.decode(video)]
    assert len(frames) == 25
    for frame, made in zip(frames, drawn(), strict=True):
        flat = (0, 0, 320, 36)
        difference = ImageChops.difference(frame.crop(flat), made.crop(flat))
        assert max(most for _, most in difference.getextrema()) < 8
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_frame_taken_apart_and_joined_is_the_same() -> None:
    # 642: a width whose lines are padded in memory.
    planes = split(next(drawn()).resize((642, 362)))
    assert [plane.size for plane in planes] == [(642, 362), (321, 181), (321, 181)]
    joined = join(planes).planes
    assert planes == [Image.frombytes("L", (p.width, p.height), bytes(p), "raw", "L", p.line_size) for p in joined]


def test_half_a_clip_never_appears(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(drawn(3), path)
    before = path.read_bytes()

    def broken() -> Iterator[Image.Image]:
        yield from drawn(10)
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="power"):
        write(broken(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == before
