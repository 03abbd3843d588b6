"""Jobs as cards, and clips as files that a browser may fetch."""

import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from s2v_core import Settings
from s2v_core.errors import DatabaseUnavailable
from s2v_core.jobs.model import Job, State
from s2v_core.jobs.studio import Studio
from s2v_core.page.gallery import Gallery
from s2v_core.page.view import View
from s2v_core.simulator.service import Simulator

from ..support.photos import PORTRAIT
from ..support.service import FAST, KEY, PROMPT, Service
from ..support.waiting import until


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
async def studio(service: Service, tmp_path: Path, cache: Path) -> AsyncIterator[Studio]:
    settings = Settings(api_key=KEY, base_url=service.base_url, data_dir=tmp_path)
    studio = Studio(settings, simulator=Simulator(tmp_path / "simulator"), public_dir=cache, timing=FAST)
    async with studio:
        yield studio


@pytest.fixture
def gallery(studio: Studio) -> Gallery:
    return Gallery(studio, Settings())


async def done(gallery: Gallery, studio: Studio) -> Job:
    job = await studio.submit(PORTRAIT, PROMPT)
    async for seen, _ in gallery.watch(job.ticket):
        job = seen
    assert job.state is State.DONE
    return job


async def told(gallery: Gallery, view: View) -> dict[str, Any]:
    news = await gallery.news(view)
    assert news
    return news


async def shown(gallery: Gallery, *tickets: str) -> list[dict[str, Any]]:
    view = View()
    view.know(tickets)
    return (await told(gallery, view))["clips"]


async def test_a_clip_is_published_again_where_the_public_copy_was_removed(
    gallery: Gallery, studio: Studio, cache: Path
) -> None:
    job = await done(gallery, studio)
    copy = Path(str(await gallery.clip(job)))
    shutil.rmtree(cache)
    assert await gallery.clip(job) == str(copy)
    assert copy.is_file()


async def test_a_clip_whose_file_goes_is_told_and_comes_back(
    gallery: Gallery, studio: Studio, cache: Path, tmp_path: Path
) -> None:
    job = await done(gallery, studio)
    shutil.rmtree(cache, ignore_errors=True)
    (tmp_path / job.clip).unlink()
    assert await gallery.clip(job) is None
    cards = [card async for _, card in gallery.watch(job.ticket)]
    assert (cards[0]["state"], cards[0]["line"].partition(".")[0]) == ("fetching", "The clip's file is no longer here")
    assert cards[-1]["title"] == "Your clip is ready"


async def test_a_picture_that_cannot_be_made_takes_nothing_from_the_clip(
    gallery: Gallery, studio: Studio, cache: Path, tmp_path: Path
) -> None:
    job = await done(gallery, studio)
    photo = tmp_path / job.photo
    jpeg = bytearray(photo.read_bytes())
    # So many pixels that Pillow refuses them, with an error of its own kind.
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xf0" * 4
    photo.write_bytes(jpeg)
    assert (await gallery.pictures(job))["prompt"] == PROMPT
    assert [card["ticket"] for card in await shown(gallery, job.ticket)] == [job.ticket]


async def test_cards_are_shown_of_tickets_that_are_known_alone(gallery: Gallery, studio: Studio) -> None:
    job = await studio.submit("https://a.example/b.jpg", PROMPT)
    cards = await shown(gallery, "s2v_nobody", job.ticket)
    assert [(card["ticket"], card["prompt"]) for card in cards] == [(job.ticket, PROMPT)]
    async for seen, card in gallery.watch(job.ticket):
        assert card["ticket"] == job.ticket
        if seen.state is not State.QUEUED:
            break


async def test_a_shelf_tells_what_changed_and_reads_what_has_ended_once(gallery: Gallery, studio: Studio) -> None:
    ended = await done(gallery, studio)
    await gallery.pictures(ended)
    job = await studio.submit(PORTRAIT, "She sings.")
    view = View()
    view.know([job.ticket, ended.ticket])
    first = await gallery.news(view)
    assert first
    assert [card["running"] for card in first["clips"]] == [True, False]
    assert first["clips"][1]["poster"]
    async for _ in gallery.watch(job.ticket):
        pass
    await gallery.pictures(await studio.job(job.ticket))
    news = await gallery.news(view)
    assert news
    assert [card["running"] for card in news["clips"]] == [False, False]
    await studio.delete(ended.ticket)
    assert await gallery.news(view) is None
    view.know([*view.known, "s2v_nobody"])
    await gallery.news(view)
    assert (await shown(gallery, *view.known))[1]["state"] == "deleted"


async def test_the_newest_twelve_are_shown_and_then_all(gallery: Gallery, studio: Studio) -> None:
    view = View()
    view.know([(await studio.submit("https://a.example/b.jpg", f"Number {number}.")).ticket for number in range(14)])
    first = await told(gallery, view)
    view.all = True
    every = await told(gallery, view)
    assert [(len(each["clips"]), each["more"]) for each in (first, every)] == [(12, 2), (14, 0)]


async def test_a_page_that_missed_a_word_is_told_again(gallery: Gallery, studio: Studio) -> None:
    ended, view = await done(gallery, studio), View()
    await gallery.pictures(ended)
    view.know([ended.ticket])
    first = await told(gallery, view)
    assert await gallery.news(view, seen=first["at"]) is None
    again = await gallery.news(view, seen=first["at"] - 1)
    assert again
    assert [card["ticket"] for card in again["clips"]] == [ended.ticket]


async def test_tickets_that_nobody_knows_here_hide_no_card(gallery: Gallery, studio: Studio) -> None:
    job = await studio.submit("https://a.example/b.jpg", PROMPT)
    strangers = [f"s2v_{number}" for number in range(20)]
    assert [card["ticket"] for card in await shown(gallery, *strangers, job.ticket)] == [job.ticket]


async def test_while_the_database_is_away_the_cards_stay_as_they_are(
    gallery: Gallery, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_ticket: str) -> Job:
        raise DatabaseUnavailable("silent")

    view = View()
    view.know([(await studio.submit("https://a.example/b.jpg", PROMPT)).ticket])
    assert await gallery.news(view)
    with monkeypatch.context() as patch:
        patch.setattr(studio, "job", away)
        assert await gallery.news(view) is None


async def test_a_card_waits_for_no_picture_and_gets_it_later(gallery: Gallery, studio: Studio, tmp_path: Path) -> None:
    job = await done(gallery, studio)
    await gallery.pictures(job)
    clip = tmp_path / job.clip
    clip.with_suffix(".poster.jpg").unlink()
    view = View()
    view.know([job.ticket])
    first = await gallery.news(view)
    assert first
    # The portrait stands there meanwhile.
    assert not clip.with_suffix(".poster.jpg").exists()
    later = await until(partial(gallery.news, view), "the poster is made")
    assert later["clips"][0]["poster"] != first["clips"][0]["poster"]
