"""Which finished clips the page shows before anybody has made one."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from s2v_core.clip.example import CLIP_BYTES, PORTRAIT_BYTES, POSTER_BYTES
from s2v_core.page.examples import Example, examples

from ..support.clips import small_clip

FACTS: dict[str, Any] = {
    "scene": "She smiles – 微笑.", "made_by": "302.AI · S2V-01", "seconds": 6.0, "simulated": False,
    "date": "2026-11-26T10:00:00Z",
}  # fmt: skip


@pytest.fixture(scope="module")
def clip() -> bytes:
    return small_clip()


@pytest.fixture
def add(tmp_path: Path, clip: bytes) -> Callable[..., Path]:
    def add(name: str, **facts: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "clip.mp4").write_bytes(clip)
        for picture in ("poster", "portrait"):
            Image.effect_noise((64, 36), 60).save(folder / f"{picture}.jpg")
        (folder / "example.json").write_text(json.dumps(FACTS | facts), encoding="utf-8")
        return folder

    return add


def names(folder: Path) -> list[str]:
    return [example.name for example in examples(folder)]


def test_an_example_is_read_from_its_folder(tmp_path: Path, add: Callable[..., Path]) -> None:
    folder = add("sea-wind", more="of a later version")
    assert examples(tmp_path) == [
        Example(
            name="sea-wind", clip=folder / "clip.mp4", poster=folder / "poster.jpg",
            portrait=folder / "portrait.jpg", scene="She smiles – 微笑.", made_by="302.AI · S2V-01",
            seconds=6.0, simulated=False,
        )
    ]  # fmt: skip


def test_examples_stand_in_the_order_of_their_dates_and_names(tmp_path: Path, add: Callable[..., Path]) -> None:
    add("b", date="2026-02-01")
    add("a", date="2026-02-01")
    add("c", date="2026-01-01T23:59:59Z")
    assert names(tmp_path) == ["c", "a", "b"]


def test_simulated_examples_step_back_behind_a_real_one(tmp_path: Path, add: Callable[..., Path]) -> None:
    add("simulated", simulated=True, date="2026-01-01")
    assert names(tmp_path) == ["simulated"]
    folder = add("real")
    assert names(tmp_path) == ["real"]
    # A damaged one is none to step back for.
    (folder / "clip.mp4").write_bytes(b"")
    assert names(tmp_path) == ["simulated"]


def test_where_there_are_no_examples_there_is_none(tmp_path: Path) -> None:
    assert examples(tmp_path) == examples(tmp_path / "missing") == []


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no clip": lambda folder: (folder / "clip.mp4").unlink(),
    "a clip cut off": lambda folder: (folder / "clip.mp4").write_bytes((folder / "clip.mp4").read_bytes()[:-9]),
    "no poster": lambda folder: (folder / "poster.jpg").unlink(),
    "a poster cut off": lambda folder: (folder / "poster.jpg").write_bytes((folder / "poster.jpg").read_bytes()[:400]),
    "a portrait that is a PNG": lambda folder: Image.new("L", (9, 9)).save(folder / "portrait.jpg", "PNG"),
    "a folder for a portrait": lambda folder: (folder / "portrait.jpg").unlink() or (folder / "portrait.jpg").mkdir(),
    "no JSON": lambda folder: (folder / "example.json").write_text("{"),
    "no UTF-8": lambda folder: (folder / "example.json").write_bytes(b'{"scene": "\xff"}'),
    "JSON without an end": lambda folder: (folder / "example.json").write_text("[" * 100_000),
    "a list": lambda folder: (folder / "example.json").write_text("[1]"),
    **{
        f"{name}: {value}": lambda folder, name=name, value=value: (folder / "example.json").write_text(
            json.dumps(FACTS | {name: value})
        )
        for name, value in [
            ("scene", None), ("made_by", 7), ("simulated", "no"), ("date", 2026),
            ("seconds", "6"), ("seconds", 0), ("seconds", float("nan")), ("seconds", float("inf")),
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_example_is_left_out_with_one_warning(
    damage: Callable[[Path], object], tmp_path: Path, add: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    add("good")
    damage(add("bad"))
    with caplog.at_level(logging.DEBUG):
        assert names(tmp_path) == ["good"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the example bad is left out" in record.getMessage()


def test_a_half_made_example_is_not_seen(
    tmp_path: Path, add: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    add("sea.0a1b2c3d.part")
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("By hand.")
    assert (examples(tmp_path), caplog.records) == ([], [])


def test_examples_are_read_without_what_only_a_clip_needs() -> None:
    script = "import sys, s2v_core.page.examples as page; page.examples(); print('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


SHIPPED = examples()


def test_the_examples_that_are_shipped_are_four_and_small() -> None:
    assert [example.name for example in SHIPPED] == ["astronaut", "grace-hopper", "gardener", "sailor"]
    sizes = [(each.clip.stat().st_size, each.poster.stat().st_size, each.portrait.stat().st_size) for each in SHIPPED]
    for most, found in zip((CLIP_BYTES, POSTER_BYTES, PORTRAIT_BYTES), zip(*sizes, strict=True), strict=True):
        assert max(found) <= most
    assert sum(clip + poster for clip, poster, _ in sizes) <= 1_600_000


@pytest.mark.parametrize("example", SHIPPED, ids=lambda example: example.name)
def test_a_shipped_example_is_simulated_and_says_so_in_every_second(example: Example) -> None:
    assert (example.simulated, example.made_by, example.seconds) == (True, "Simulator", 6.0)
    with av.open(str(example.clip)) as container:
        assert not container.streams.audio
        frames = [frame.to_image() for frame in container.decode(video=0)]
    assert (len(frames), frames[0].size) == (150, (640, 360))
    with Image.open(example.poster) as poster:
        for picture in (poster, *frames[::25]):
            darkest, brightest = picture.crop((550, 8, 632, 26)).convert("L").getextrema()
            assert darkest < 60
            assert brightest > 200
