"""Clips become one, frame by frame, and it says what its parts said."""

import hashlib
from pathlib import Path

import av
import pytest
from PIL import Image, ImageStat

from s2v_core.clip import marks, reel
from s2v_core.clip.boxes import check_whole
from s2v_core.clip.encode import write
from s2v_core.clip.reel import NotJoined, join

from ..support.clips import describe


def clip(path: Path, colour: int, *, size: tuple[int, int] = (128, 72), frames: int = 20, fps: int = 25) -> Path:
    """Of one colour, which becomes lighter, with the marks of a clip from the service."""
    shades = ((colour, 2 * number, 60) for number in range(frames))
    write((Image.new("RGB", size, shade) for shade in shades), path, fps=fps)
    marks.add(path, marks.made_here(version="1.0.0", system="MiniMax S2V-01 through 302.AI", model="S2V-01"))
    return path


def frames(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [
            hashlib.sha256(b"".join(bytes(plane) for plane in frame.planes)).hexdigest()
            for frame in container.decode(video=0)
        ]


def unknown(*parts: Path) -> list[tuple[Path, dict[str, str]]]:
    """Parts of which nothing is known but what their files say."""
    return [(part, {}) for part in parts]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_frames_of_a_reel_are_those_of_its_parts_in_their_order(count: int, tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{number}.mp4", 40 * number) for number in range(count)]
    assert join(unknown(*parts), tmp_path / "reel.mp4", version="1.0.0")
    check_whole(tmp_path / "reel.mp4")
    assert frames(tmp_path / "reel.mp4") == [frame for part in parts for frame in frames(part)]
    assert times(tmp_path / "reel.mp4") == pytest.approx([number / 25 for number in range(20 * count)], abs=0.001)
    assert describe(tmp_path / "reel.mp4").seconds == pytest.approx(0.8 * count, abs=0.05)
    said = marks.read(tmp_path / "reel.mp4").fields
    assert said[marks.PARTS].split() == [marks.read(part).fields[marks.INSTANCE] for part in parts]
    assert (said[marks.SOURCE_TYPE], said[marks.SYSTEM]) == (marks.TRAINED, "MiniMax S2V-01 through 302.AI")
    assert marks.SCENE not in said


def test_clips_of_two_kinds_are_encoded_at_the_size_and_the_rate_of_the_first(tmp_path: Path) -> None:
    parts = [clip(tmp_path / "0.mp4", 0), clip(tmp_path / "1.mp4", 200, size=(64, 96), frames=10, fps=10)]
    assert not join(unknown(*parts), tmp_path / "reel.mp4", version="1.0.0")
    made = describe(tmp_path / "reel.mp4")
    assert (made.width, made.height) == (128, 72)
    assert made.seconds == pytest.approx(1.8, abs=0.1)
    with av.open(str(tmp_path / "reel.mp4")) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    reds = [ImageStat.Stat(picture.crop((50, 20, 78, 52))).mean[0] for picture in pictures]
    assert max(reds[:20]) < 30
    assert min(reds[21:]) > 170
    assert len(marks.read(tmp_path / "reel.mp4").fields[marks.PARTS].split()) == 2


def test_a_mark_that_no_copy_can_keep_is_not_lost(tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{number}.mp4", 40) for number in range(2)]
    with parts[1].open("ab") as file:
        file.write((28).to_bytes(4) + b"uuid" + marks.C2PA + b"sign")
    with pytest.raises(NotJoined, match=r"1\.mp4 carries a mark that a reel would lose \(C2PA\)\."):
        join(unknown(*parts), tmp_path / "reel.mp4", version="1.0.0")


def test_a_mark_that_cannot_be_read_is_not_lost(tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{number}.mp4", 40) for number in range(2)]
    with parts[0].open("ab") as file:
        file.write((28).to_bytes(4) + b"uuid" + marks.XMP + b"<x>!")
    with pytest.raises(NotJoined, match=r"0\.mp4 carries a mark that a reel would lose \(XMP that cannot be read\)\."):
        join(unknown(*parts), tmp_path / "reel.mp4", version="1.0.0")


def test_a_reel_says_who_made_a_part_whose_file_does_not(tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{number}.mp4", 40) for number in range(2)]
    for part in parts:
        part.write_bytes(marks.without(part))
    known: list[dict[str, str]] = [{}, marks.by_model("MiniMax S2V-01 through 302.AI", "S2V-01")]
    assert join(list(zip(parts, known, strict=True)), tmp_path / "reel.mp4", version="1.0.0")
    said = marks.read(tmp_path / "reel.mp4").fields
    assert (said[marks.SOURCE_TYPE], said[marks.PARTS]) == (marks.TRAINED, "unmarked unmarked")


def test_what_is_no_clip_makes_no_reel(tmp_path: Path) -> None:
    (tmp_path / "none.mp4").write_bytes(b"nothing")
    (tmp_path / "empty.mp4").write_bytes(b"\0\0\0\x08ftyp")
    good = clip(tmp_path / "good.mp4", 40)
    with pytest.raises(NotJoined, match=r"none\.mp4 is no whole MP4"):
        join(unknown(good, tmp_path / "none.mp4"), tmp_path / "reel.mp4", version="1.0.0")
    with pytest.raises(NotJoined, match="make no reel"):
        join(unknown(good, tmp_path / "empty.mp4"), tmp_path / "reel.mp4", version="1.0.0")


def test_the_scenes_are_in_a_reel_if_they_are_in_all_its_parts() -> None:
    one, two = {marks.SCENE: "She nods.", marks.INSTANCE: "uuid:1"}, {marks.SCENE: "She waves."}
    told = reel.together([one, two], version="1.0.0")
    assert (told[marks.SCENE], told[marks.PARTS]) == ("She nods.\nShe waves.", "uuid:1 unmarked")
    assert marks.SCENE not in reel.together([one, {}], version="1.0.0")
    # None of them was made by a model.
    assert not {marks.SOURCE_TYPE, marks.SYSTEM} & told.keys()
