"""What is said about an MP4 on disk, and what shows it."""

import asyncio
import json
import os
import random
import re
import struct
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from s2v_core import Photo
from s2v_core.clip import stills
from s2v_core.clip.encode import write
from s2v_core.clip.pictures import NotAClip, pictures, pictures_of
from s2v_core.clip.stills import STILLS
from s2v_core.photo.face import find_faces

from ..support.clips import Clip, describe, drawn, with_faces
from ..support.photos import ASSETS
from ..support.waiting import until


def test_what_is_written_is_described(tmp_path: Path) -> None:
    write(drawn(), tmp_path / "clip.mp4", fps=25)
    assert describe(tmp_path / "clip.mp4") == Clip(width=320, height=180, seconds=1.0, frames=25)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write(drawn(), path)
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
async def test_what_is_no_clip_is_said_to_be_none(tmp_path: Path, whole: bytes, damage) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(damage(whole))
    with pytest.raises(NotAClip, match=r"clip\.mp4"):
        await pictures(path)


async def test_a_list_of_other_files_opens_none_of_them(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "other.mp4").write_bytes(whole)
    path = tmp_path / "clip.mp4"
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(NotAClip, match=r"clip\.mp4 gives no pictures"):
        await pictures(path)


async def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=48000)
        silence = av.AudioFrame("fltp", "mono", 1024)
        silence.planes[0].update(bytes(4 * 1024))
        silence.sample_rate = 48000
        out.mux(stream.encode(silence))
        out.mux(stream.encode(None))
    with pytest.raises(NotAClip, match=r"sound\.mp4 gives no pictures"):
        await pictures(path)


async def test_a_clip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAClip, match=r"gone\.mp4 gives no pictures"):
        await pictures(tmp_path / "gone.mp4")


async def test_a_clip_is_shown_by_a_poster_and_by_five_frames_in_a_row(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(drawn(), path)
    made = await pictures(path)
    assert made == pictures_of(path)
    poster, stills = (Image.open(file).convert("RGB") for file in made[:2])
    # A disc has no face.
    assert [file.read_bytes() for file in made[2:]] == [b"", b""]
    assert max(poster.size) == 480
    assert stills.size == (STILLS * 240, 135)
    # The blue disc goes from the left to the right.
    places = []
    for number in range(STILLS):
        blue = stills.crop((240 * number, 0, 240 * (number + 1), 135)).getchannel("B").point(lambda value: value > 120)
        places.append(blue.getbbox()[0])  # type: ignore[index]
    assert places == sorted(set(places))


async def test_a_tall_clip_keeps_its_shape(tmp_path: Path) -> None:
    write((Image.new("RGB", (90, 160), (number, 0, 0)) for number in range(3)), tmp_path / "clip.mp4")
    poster, stills = (Image.open(made).convert("L") for made in (await pictures(tmp_path / "clip.mp4"))[:2])
    assert poster.size == (270, 480)
    assert stills.size == (STILLS * 76, 135)


async def test_a_clip_of_one_frame_shows_it_everywhere(tmp_path: Path) -> None:
    write(drawn(1), tmp_path / "clip.mp4")
    poster, stills = (Image.open(made).convert("L") for made in (await pictures(tmp_path / "clip.mp4"))[:2])
    assert (poster.size, stills.size) == ((480, 270), (STILLS * 240, 135))


async def test_the_faces_of_photo_and_clip_stand_in_a_row_with_their_eyes_on_one_line(
    photo: Photo, tmp_path: Path
) -> None:
    with_faces(tmp_path / "clip.mp4", lambda number: number < 26, ASSETS / "portraits" / "gardener.jpg")
    (tmp_path / "photo.jpg").write_bytes(photo.jpeg)
    _, _, row, told = await pictures(tmp_path / "clip.mp4", tmp_path / "photo.jpg")
    seen = json.loads(told.read_text())
    assert (seen["found"], seen["of"], seen["reference"]) == (13, 25, True)
    seconds = [second for second, _ in seen["frames"]]
    assert seconds == sorted(set(seconds))
    assert [found for _, found in seen["frames"]] == [second < 1.04 for second in seconds]
    with Image.open(row) as image:
        assert image.size == (13 * 104, 104)
        cells = [image.crop((104 * place, 0, 104 * (place + 1), 104)) for place in range(13)]
    for cell, found in zip(cells, [True, *(found for _, found in seen["frames"])], strict=True):
        if not found:
            # Of its neighbours nothing but what JPEG lets over.
            assert max(high for _, high in cell.crop((8, 8, 96, 96)).getextrema()) < 12
            continue
        # Among more of a picture a face fills less of it, and is found more surely.
        around = Image.new("RGB", (208, 208), "grey")
        around.paste(cell, (52, 52))
        (face,) = find_faces(around)
        (right, right_down), (left, left_down), *_ = face.landmarks
        assert (right_down + left_down) / 2 == pytest.approx(52 + 0.44 * 104, abs=6)
        assert (right + left) / 2 == pytest.approx(104, abs=5)
        assert left - right == pytest.approx(0.3 * 104, abs=6)


async def test_without_a_photo_the_first_face_is_left_out(tmp_path: Path) -> None:
    with_faces(tmp_path / "clip.mp4", lambda number: True)
    _, _, _, told = await pictures(tmp_path / "clip.mp4")
    seen = json.loads(told.read_text())
    assert (seen["found"], seen["reference"]) == (25, False)


def test_faces_that_take_too_long_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stills, "_FACES_END", 0.0)
    with pytest.raises(TimeoutError):
        stills.faces_in_a_row([Image.new("RGB", (64, 36))], [0.0], "")


def joined(path: Path, *parts: tuple[tuple[int, int], int], codec: str = "libx264", second: bool = False) -> None:
    """One stream of flat frames that changes its size on the way; with a `second`, another of 64 × 64 px before it."""
    with av.open(str(path), "w", format="mp4") as out:
        streams = [out.add_stream(codec, rate=25) for _ in range(1 + second)]
        stream = streams[-1]
        for each in streams:
            each.width, each.height, each.pix_fmt = 64, 64, "yuv420p"
        stream.width, stream.height = parts[0][0]
        if second:
            out.mux(streams[0].encode(flat((64, 64), 0)))
            out.mux(streams[0].encode(None))
        at = 0
        for number, (size, count) in enumerate(parts):
            encoder = stream
            if number:
                encoder = av.CodecContext.create(codec, "w")
                encoder.options = {"preset": "ultrafast", "threads": "1"}
                encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
                encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
            packets = [packet for place in range(count) for packet in encoder.encode(flat(size, place))]
            for packet in [*packets, *encoder.encode(None)]:
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = at
                at += 1
                out.mux(packet)


def flat(size: tuple[int, int], place: int) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes((90,)) * plane.buffer_size)
    frame.pts, frame.time_base = place, Fraction(1, 25)
    return frame


SMALL, HUGE = (320, 180), (4608, 2304)


def of_changing_size(path: Path) -> None:
    joined(path, (SMALL, 5), (HUGE, 3))


def of_many_sizes(path: Path) -> None:
    joined(path, (SMALL, 2), *[((1280 + 16 * n, 720), 1) for n in range(12)])


def of_a_size_that_its_index_hides(path: Path) -> None:
    joined(path, (HUGE, 2))
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack(">HH", *HUGE), struct.pack(">HH", *SMALL)))
    assert path.read_bytes() != data


def of_a_million_boxes(path: Path) -> None:
    write(drawn(2), path)
    path.write_bytes(path.read_bytes() + struct.pack(">I4s", 8, b"free") * 1_000_000)


def of_a_shape_that_none_has(path: Path) -> None:
    joined(path, ((4096, 64), 2))


def of_another_codec(path: Path) -> None:
    joined(path, (SMALL, 3), codec="mpeg4")


def of_noise(path: Path) -> None:
    write(drawn(), path)
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    data[at:] = random.Random(1).randbytes(len(data) - at)
    path.write_bytes(data)


def of_its_first_part(path: Path) -> None:
    write(drawn(), path)
    path.write_bytes(path.read_bytes()[:300])


def of_4k(path: Path) -> None:
    joined(path, ((3840, 2160), 4))


def of_two_streams(path: Path) -> None:
    joined(path, (HUGE, 1), second=True)


TRIES = """if True:
    import resource, subprocess, sys
    made = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(made.returncode == 0, len(made.stdout.splitlines()), used.ru_maxrss // 1024, used.ru_utime + used.ru_stime)
"""


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (of_changing_size, False),
        (of_many_sizes, False),
        (of_a_size_that_its_index_hides, False),
        (of_a_million_boxes, True),
        (of_a_shape_that_none_has, False),
        (of_another_codec, False),
        (of_noise, False),
        (of_its_first_part, False),
        (of_4k, True),
        (of_two_streams, True),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_pictures_of_a_clip_cost_at_most_300_mb_and_5_seconds(make, shown: bool, tmp_path: Path) -> None:
    make(tmp_path / "clip.mp4")
    # Not a child of this process, whose own memory would be counted with it.
    command = [sys.executable, "-c", TRIES, sys.executable, "-P", stills.__file__, str(tmp_path / "clip.mp4"), ""]
    verdict, lines, megabytes, cpu_seconds = subprocess.run(command, stdout=subprocess.PIPE).stdout.split()
    assert (verdict == b"True", int(lines)) == (shown, 4 * shown)
    assert float(megabytes) <= 300
    assert float(cpu_seconds) <= 5


async def test_what_is_no_clip_has_no_pictures_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no clip")
    with pytest.raises(NotAClip, match=r"clip\.mp4 gives no pictures"):
        await pictures(tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


async def test_a_clip_that_is_deleted_while_it_is_decoded_leaves_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(drawn(3), path)
    data = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    making = asyncio.create_task(pictures(path))
    with await asyncio.to_thread(path.open, "wb") as file:
        path.unlink()
        file.write(data)
    with pytest.raises(NotAClip, match="FileNotFound"):
        await making
    assert not [*tmp_path.iterdir()]


def children() -> dict[int, str]:
    """The state of each child of this process that shows a clip, or has done so and was not waited for."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            words = (stat.parent / "cmdline").read_bytes()
            if int(parent) == os.getpid() and (state == "Z" or stills.__file__.encode() in words):
                found[int(stat.parent.name)] = state
    return found


async def child() -> int:
    return next(iter(await until(children, "there is a child")))


async def test_a_child_that_hangs_is_ended(tmp_path: Path) -> None:
    # Nobody writes to it: to open it takes for ever.
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(NotAClip, match="TimeoutError"):
        await pictures(tmp_path / "clip.mp4", seconds=0.3)
    assert not children()


async def test_a_child_ends_with_whoever_asked_for_its_pictures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    making = asyncio.create_task(pictures(tmp_path / "clip.mp4"))
    await child()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert not children()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


async def test_a_child_knows_no_key_and_has_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2V_API_KEY", "sk-CANARY")
    os.mkfifo(tmp_path / "clip.mp4")
    making = asyncio.create_task(pictures(tmp_path / "clip.mp4"))
    process = Path(f"/proc/{await child()}")
    bounds = r"Max (file size|address space|cpu time|core file size) +(\d+) +(\d+)"
    limits = await until(
        lambda: (found := re.findall(bounds, (process / "limits").read_text()))[3:] and found, "all limits are set"
    )
    environment = (process / "environ").read_bytes()
    making.cancel()
    await asyncio.wait([making])
    assert {name: {int(soft), int(hard)} for name, soft, hard in limits} == {
        "cpu time": {5}, "file size": {0}, "core file size": {0}, "address space": {300_000_000, 700_000_000},
    }  # fmt: skip
    assert b"PATH=" in environment
    assert b"CANARY" not in environment


async def test_two_clips_at_most_are_shown_at_once(tmp_path: Path) -> None:
    for number in range(4):
        os.mkfifo(tmp_path / f"{number}.mp4")
    making = asyncio.gather(*(pictures(path, seconds=0.5) for path in tmp_path.glob("*.mp4")), return_exceptions=True)
    most = 0

    def done() -> bool:
        nonlocal most
        most = max(most, len(children()))
        return making.done()

    await until(done, "all four are given up")
    assert most == 2
    assert {type(error) for error in making.result()} == {NotAClip}


def test_a_child_imports_nothing_that_it_does_not_need() -> None:
    script = f"import runpy, sys; runpy.run_path({stills.__file__!r}); print(*sys.modules)"
    names = subprocess.run([sys.executable, "-P", "-c", script], stdout=subprocess.PIPE, text=True).stdout.split()
    assert "av" in names
    assert not {"s2v_core", "httpx", "sqlalchemy", "gradio", "numpy"} & {*names}
