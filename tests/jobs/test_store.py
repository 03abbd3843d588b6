"""No file goes on one source's word."""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from s2v_core import Photo
from s2v_core.clip import reel
from s2v_core.jobs.files import FolderFiles
from s2v_core.jobs.model import Job
from s2v_core.jobs.store import FileStore
from s2v_core.photo.prepare import data_url

DAY = 24 * 3600


def nobody(stems: Collection[str]) -> set[str]:
    """A ledger that names no file."""
    return set(stems)


def opened(folder: Path, identity: str, unnamed: Callable[[Collection[str]], set[str]]) -> FileStore:
    files = FolderFiles(folder)
    files.make(identity, unnamed)
    return FileStore(files, folder / "public")


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return opened(tmp_path, "ours", nobody)


def put(folder: Path, name: str, days: float) -> Path:
    path = folder / name
    path.write_bytes(b"a clip")
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"ledger.id"}


def test_what_no_row_names_is_moved_aside_after_a_day_and_goes_30_days_later(
    store: FileStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, days in (("photos/old.jpg", 2), ("clips/old.mp4", 2), ("clips/old.poster.jpg", 2), ("clips/new.mp4", 1)):
        put(tmp_path, name, days)
    put(tmp_path, "clips/kept.mp4", 99)
    for _ in range(2):
        store.clear_away(lambda stems: set(stems) - {"clips/kept"})
    aside = {"unclaimed/old.jpg", "unclaimed/old.mp4", "unclaimed/old.poster.jpg"}
    assert files(tmp_path) == {"clips/kept.mp4", "clips/new.mp4"} | aside
    assert "no job names old.mp4" in caplog.text
    put(tmp_path, "unclaimed/old.mp4", 31)
    put(tmp_path, "unclaimed/old.jpg", 29)
    store.clear_away(lambda stems: set(stems) - {"clips/kept"})
    assert files(tmp_path) == {"clips/kept.mp4", "clips/new.mp4"} | aside - {"unclaimed/old.mp4"}


def test_what_was_moved_aside_comes_back_when_a_row_names_it_again(store: FileStore, tmp_path: Path) -> None:
    for name in ("clips/old.mp4", "clips/old.poster.jpg"):
        put(tmp_path, name, 2)
    store.clear_away(nobody)
    assert store.has("clips/old.mp4")
    assert files(tmp_path) == {"clips/old.mp4", "clips/old.poster.jpg"}
    assert not store.has("clips/other.mp4")


def test_nothing_is_moved_where_the_folder_was_made_with_another_ledger(
    store: FileStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"clips/{number}.mp4" for number in range(3)]
    for name in names:
        put(tmp_path, name, 99)
    other = opened(tmp_path, "another", nobody)
    assert "was made with another ledger" in caplog.text
    other.clear_away(nobody)
    assert files(tmp_path) == set(names)


@pytest.mark.parametrize(("named", "moved"), [(set(), 0), ({"clips/one"}, 1)], ids=["of no file", "of one file"])
def test_a_folder_without_a_mark_belongs_to_a_ledger_that_knows_of_it(
    named: set[str], moved: int, tmp_path: Path
) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("clips/one.mp4", "clips/two.mp4"):
        put(tmp_path, name, 2)
    store = opened(tmp_path, "ours", lambda stems: set(stems) - named)
    store.clear_away(lambda stems: set(stems) - named)
    assert len(files(tmp_path) - {"clips/one.mp4", "clips/two.mp4"}) == moved


def test_what_is_being_fetched_is_not_moved(store: FileStore, tmp_path: Path) -> None:
    with store.new_clip() as name:
        put(tmp_path, name, 2)
        store.clear_away(nobody)
        assert store.path(name).is_file()
    store.clear_away(nobody)
    assert not store.path(name).is_file()


def test_a_folder_among_the_clips_is_let_be(store: FileStore, tmp_path: Path) -> None:
    folder = tmp_path / "clips" / "somebody's.part"
    folder.mkdir()
    os.utime(folder, (0, 0))
    store.sweep()
    store.clear_away(nobody)
    assert folder.is_dir()


def a_job(**values: Any) -> Job:
    return Job(**dict.fromkeys(Job.__dataclass_fields__, "") | values)


def test_the_small_picture_of_a_photo_is_made_once_and_goes_with_it(
    store: FileStore, photo: Photo, tmp_path: Path
) -> None:
    job = a_job(ticket="s2v_a", photo=store.keep(photo.jpeg))
    first = store.pictures(job)["reference"]
    (small,) = (tmp_path / "photos").glob("*.small.jpg")
    assert first == data_url(small.read_bytes())
    with Image.open(small) as image:
        assert max(image.size) == 320
    small.write_bytes(b"the same file")
    assert store.pictures(job)["reference"] == data_url(b"the same file")
    assert store.sizes([job]) == [len(photo.jpeg) + len(b"the same file")]
    store.remove(job.ticket, job.photo, "")
    assert files(tmp_path) == set()
    assert store.pictures(job) == {}


def test_the_small_picture_is_claimed_by_the_row_of_its_photo(store: FileStore, photo: Photo, tmp_path: Path) -> None:
    job = a_job(photo=store.keep(photo.jpeg))
    store.pictures(job)
    for path in (tmp_path / "photos").iterdir():
        os.utime(path, (0, 0))
    store.clear_away(lambda stems: set(stems) - {job.photo.partition(".")[0]})
    assert len(list((tmp_path / "photos").iterdir())) == 2
    store.clear_away(nobody)
    assert list((tmp_path / "photos").iterdir()) == []


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Léa laughs in a café.", "lea-laughs-in-a-cafe"),
        ("She smiles.\vShe waves—softly.", "she-smiles-she-waves-softly"),
        ("她微笑 👩‍🚀", "clip"),
        ("\u3164", "clip"),
        ("../../etc/passwd\0", "etc-passwd"),
    ],
)
def test_a_clip_is_named_by_the_letters_of_its_prompt(store: FileStore, tmp_path: Path, prompt: str, name: str) -> None:
    put(tmp_path, "clips/a.mp4", 0)
    assert store.publish(a_job(prompt=prompt, clip="clips/a.mp4")).name == f"s2v-{name}.mp4"


def test_no_reel_of_a_clip_that_was_removed_stays(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [a_job(ticket=f"s2v_{name}", photo="", clip=f"clips/{name}.mp4") for name in "abc"]

    def made(_: object, reel: Path, **__: object) -> None:
        reel.write_bytes(b"all three")

    def removed_meanwhile(_: object, reel: Path, **__: object) -> None:
        store.remove("s2v_b", "", "clips/b.mp4")
        reel.write_bytes(b"all three")

    monkeypatch.setattr(reel, "join", made)
    first, second = store.reel(jobs), store.reel(jobs[:2])
    other = store.reel([jobs[0], jobs[2]])
    store.remove("s2v_b", "", "clips/b.mp4")
    assert [path.is_file() for path in (first, second, other)] == [False, False, True]
    monkeypatch.setattr(reel, "join", removed_meanwhile)
    with pytest.raises(OSError, match="s2v-reel"):
        store.reel(jobs)
    assert not first.exists()
