"""An MP4 that lacks anything is not whole, and says what it lacks."""

import time
from pathlib import Path

import pytest

from s2v_core.clip.boxes import NotWhole, check_whole


def test_a_whole_clip_is_whole_and_no_shorter_one_is(clip: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip)
    check_whole(path)
    for length in range(len(clip)):
        path.write_bytes(clip[:length])
        with pytest.raises(NotWhole):
            check_whole(path)


def box(kind: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    return (8 + len(body) if size is None else size).to_bytes(4) + kind + body


FTYP, MOOV, MDAT = box(b"ftyp", b"isom"), box(b"moov", b"m" * 20), box(b"mdat", b"d" * 50)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (FTYP + MOOV, "lacks mdat"),
        (FTYP + MDAT, "lacks moov"),
        (MOOV + MDAT, "not an MP4"),
        (FTYP + MOOV + MDAT + b"\0", "cut off"),
        (FTYP + MOOV + box(b"mdat", size=7), "cut off"),
        (FTYP + MOOV + box(b"mdat", b"d" * 50, size=0), "cut off"),
        (FTYP + MOOV + box(b"mdat", (4).to_bytes(8) + b"d" * 50, size=1), "cut off"),
        (FTYP + MOOV + box(b"mdat", (2**63).to_bytes(8) + b"d" * 50, size=1), "cut off"),
    ],
)  # fmt: skip
def test_what_is_not_a_whole_mp4_says_why(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(NotWhole, match=says):
        check_whole(path)


@pytest.mark.parametrize(
    "data",
    [FTYP + MOOV + MDAT, FTYP + MDAT + MOOV, FTYP + MOOV + box(b"mdat", (66).to_bytes(8) + b"d" * 50, size=1)],
    ids=["index in front", "index behind", "a 64-bit size"],
)
def test_whole_mp4s_of_other_layouts_pass(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    check_whole(path)


def test_a_last_box_without_a_size_passes_only_where_the_length_is_known(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(FTYP + MOOV + box(b"mdat", b"d" * 50, size=0))
    check_whole(path, length_is_known=True)


def test_of_24_million_boxes_only_as_many_are_walked_as_a_clip_may_have(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    boxes = box(b"free") * 100_000
    with path.open("wb") as file:
        file.writelines([FTYP, *[boxes] * 240, MOOV, MDAT])
    began = time.process_time()
    check_whole(path, length_is_known=True)
    with pytest.raises(NotWhole, match="more than 100000 boxes"):
        check_whole(path)
    assert time.process_time() - began < 5
