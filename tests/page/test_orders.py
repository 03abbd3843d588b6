"""What a page asks of the core: uploads, orders, and the services of the next click."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from s2v_core import ImageRejected, InputRejected, Photo, PromptRejected, Refused, Settings
from s2v_core.jobs.model import Job
from s2v_core.jobs.studio import Studio
from s2v_core.page import cards
from s2v_core.page.orders import Order, Orders, kept_here, promise, uploaded
from s2v_core.settings import Key
from s2v_core.simulator.service import Simulator
from s2v_core.text import in_a_line, scenes_of

from ..support.photos import PORTRAIT, small_photo
from ..support.service import FAST, KEY, PROMPT, Service, task
from ..support.waiting import until

OWN = Key("sk-visitor-51c0ffee")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
async def orders(service: Service, tmp_path: Path, cache: Path) -> AsyncIterator[Orders]:
    settings = Settings(api_key=KEY, base_url=service.base_url, data_dir=tmp_path)
    studio = Studio(settings, simulator=Simulator(tmp_path / "simulator"), public_dir=cache, timing=FAST)
    async with studio:
        yield Orders(studio, settings, cache)


def upload(cache: Path, photo: Path = PORTRAIT, name: str = "a" * 32) -> str:
    path = cache / name / photo.name
    path.parent.mkdir(parents=True)
    path.write_bytes(photo.read_bytes())
    return str(path)


async def test_the_jpeg_that_is_sent_takes_the_uploads_place(orders: Orders, cache: Path, service: Service) -> None:
    chosen = upload(cache)
    path, said = await orders.inspect(chosen)
    assert not Path(chosen).exists()
    assert Path(path).is_relative_to(cache)
    assert said["facts"][0] == "512 × 512 px"
    await orders.order(Order(photo=path, prompt=PROMPT, consent=True, service="live"))
    await until(lambda: service.calls("submit"), "it is paid")
    sent = service.calls("submit")[0].json["subject_reference"][0]["image"][0]
    assert sent.startswith("data:image/jpeg;base64,")
    assert said["facts"][1] == f"{len(Path(path).read_bytes()) / 1000:.0f} kB"


async def test_a_jpeg_in_memory_is_sent_and_leaves_no_file(
    orders: Orders, cache: Path, service: Service, photo: Photo
) -> None:
    order = Order(photo=photo, prompt=PROMPT, consent=True, service="live")
    assert await orders.warnings(order) == ()
    assert await orders.warnings(replace(order, photo=small_photo())) != ()
    await orders.order(order)
    await until(lambda: service.calls("submit"), "it is paid")
    assert service.calls("submit")[0].json["subject_reference"][0]["image"] == [photo.data_url]
    assert not [path for path in cache.rglob("*.jpg") if path.read_bytes() == photo.jpeg]


async def test_a_click_before_the_photo_is_looked_over_sends_the_same_jpeg(
    orders: Orders, cache: Path, service: Service
) -> None:
    # It must not end before the second click: then that is another clip.
    service.query = [task("Processing")]
    chosen = upload(cache)
    order = Order(photo=chosen, prompt=PROMPT, consent=True, service="live")
    (path, _), job, again = await asyncio.gather(orders.inspect(chosen), orders.order(order), orders.order(order))
    assert job.ticket == again.ticket
    assert Path(path).is_file()
    assert not Path(chosen).exists()
    assert (await orders.order(order)).ticket == job.ticket


async def test_a_photo_outside_the_ratio_stays_and_can_be_cropped(orders: Orders, cache: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    Image.effect_noise((1600, 400), 80).convert("RGB").save(wide)
    chosen = upload(cache, wide)
    path, said = await orders.inspect(chosen)
    assert (path, said["crop"]) == ("", True)
    assert "it must be between 2:5 and 5:2" in said["rejected"]
    path, said = await orders.inspect(chosen, crop=True)
    with Image.open(path) as cropped:
        assert cropped.size == (1000, 400)
    assert "cropped to fit" in said["facts"]


@pytest.mark.parametrize("path", ["/etc/passwd", str(PORTRAIT), "", "..", "\0", "s2v_core/wire.py"])
async def test_only_what_was_uploaded_is_opened(orders: Orders, cache: Path, path: str) -> None:
    cache.mkdir(exist_ok=True)
    for asked in (path, f"{cache}/../{path}"):
        with pytest.raises(ImageRejected):
            await orders.order(Order(photo=asked, prompt=PROMPT, service="simulator"))
        assert (await orders.inspect(asked))[0] == ""


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (Order(prompt=PROMPT, service="simulator"), "There is no portrait yet"),
        (Order(photo="x", link="https://a.example/b.jpg", service="simulator"), "There are both a portrait and a link"),
        (Order(link="https://a.example/b.jpg", prompt=PROMPT, service="live"), "Please confirm"),
        (Order(link="https://a.example/b.jpg", prompt=PROMPT, service="own", key=OWN), "Please confirm"),
        (
            Order(link="https://a.example/b.jpg", prompt=PROMPT, service="own", consent=True),
            "Your key is no longer here",
        ),
        (
            Order(link="https://a.example/b.jpg", prompt=PROMPT, service="paid", consent=True),
            "There is no paid service",
        ),
        (Order(link="http://a.example/b.jpg", prompt=PROMPT, service="simulator"), "begins with https://"),
        (Order(link="https://a.example/b.jpg", prompt=" ", service="simulator"), "The prompt is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_done_is_said_and_nothing_is_sent(
    orders: Orders, service: Service, order: Order, says: str
) -> None:
    with pytest.raises(InputRejected, match=says):
        await orders.order(order)
    assert service.requests == []


async def test_one_wish_in_other_words_is_one_charge(orders: Orders, service: Service) -> None:
    service.submit[0].stall = 1.0
    link = "https://photos.example/Face.jpg?Size=2"
    wish = Order(link=link, prompt="Léa laughs,\nsoftly.", consent=True, service="live")
    same: list[dict[str, Any]] = [
        {},
        *({"prompt_optimizer": value} for value in (1, 1.0, None, "true", "YES", " on ")),
        *({"prompt": prompt} for prompt in (" Léa laughs,\r\nsoftly.\n", "Le\u0301a laughs,\nsoftly.")),
        *({"link": text} for text in (f" {link}\n", f"{link}#top", link.replace("https://p", "HTTPS://P"))),
        *({"link": link.replace(".example/", host)} for host in (".EXAMPLE:443/", ".example:/")),
        {"consent": "yes"},
    ]  # fmt: skip
    jobs = [await orders.order(replace(wish, **other)) for other in same]
    assert len({job.ticket for job in jobs}) == 1
    other = [{"prompt_optimizer": value} for value in (False, 0, "no", "off", "False")]
    jobs += [await orders.order(replace(wish, **change)) for change in other]
    assert len({job.ticket for job in jobs}) == 2
    for change in ({"link": link.lower()}, {"prompt": "Léa laughs.\nSoftly."}):
        jobs.append(await orders.order(replace(wish, **change)))
    assert len({job.ticket for job in jobs}) == 4
    await until(lambda: len(service.calls("submit")) == 3, "the first three are paid")
    sent = [call.json for call in service.calls("submit")]
    assert [body["prompt_optimizer"] for body in sent[:2]] == [True, False]
    assert sent[0]["subject_reference"][0]["image"] == [link]


@pytest.mark.parametrize("consent", ["false", "no", "", "0", None, 0, "maybe", [False], {}, 2])
async def test_consent_is_a_true_yes(orders: Orders, service: Service, consent: Any) -> None:
    with pytest.raises(InputRejected, match="Please confirm"):
        await orders.order(Order(link="https://a.example/b.jpg", prompt=PROMPT, service="live", consent=consent))
    assert service.requests == []


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"prompt_optimizer": "maybe"}, "true or false"),
        ({"prompt_optimizer": []}, "true or false"),
        ({"prompt": None}, "The prompt is empty"),
        ({"prompt": 7}, "The prompt is empty"),
        ({"prompt": ["She smiles."]}, "The prompt is empty"),
        ({"link": 7}, "The link must be public"),
        ({"link": None}, "There is no portrait yet"),
        ({"link": ["https://a.example/b.jpg"]}, "The link"),
    ],
    ids=str,
)
async def test_values_of_another_kind_are_told_in_a_sentence(
    orders: Orders, service: Service, values: dict[str, Any], says: str
) -> None:
    order = Order(link="https://a.example/b.jpg", prompt=PROMPT, service="simulator")
    with pytest.raises(InputRejected, match=says):
        await orders.order(replace(order, **values))


async def test_an_own_key_pays_for_the_order_and_never_the_owners(orders: Orders, service: Service) -> None:
    link = "https://a.example/b.jpg"
    job = await orders.order(Order(link=link, prompt=PROMPT, service="own", key=OWN, consent=True))
    assert job.payer == "visitor"
    job = await orders.order(Order(link=link, prompt="Another.", service="live", key=OWN, consent=True))
    assert job.payer == "owner"
    await until(lambda: len(service.calls("submit")) == 2, "both are paid")
    paid = {call.json["prompt"]: call.headers["authorization"] for call in service.calls("submit")}
    assert paid == {PROMPT: f"Bearer {OWN.text}", "Another.": f"Bearer {KEY}"}


async def test_the_services_say_what_is_left_and_whose_key_pays(orders: Orders, service: Service) -> None:
    host = service.base_url.split("/")[2]
    assert await orders.choices("", OWN) == [
        ("Simulator · free", "simulator"),
        (f"{host} · 20 clips left today", "live"),
        (f"{host} · your key sk-…ffee", "own"),
    ]
    assert orders.price("simulator") == "free"
    assert orders.price("own") == f"priced by {host}"


def test_what_is_agreed_to_names_who_gets_the_photo_and_for_how_long() -> None:
    assert promise(Settings(keep_hours=24), "302.AI").endswith(
        "It goes to 302.AI and MiniMax, and stays here for 24 hours."
    )
    assert promise(Settings(), "MiniMax").endswith("It goes to MiniMax, and stays here until you delete it.")
    beside = Settings(keep_hours=24, data_mount="fuse", ledger_dir=Path("own"))
    assert promise(beside, "302.AI").endswith(
        "stays here for 24 hours. If the server restarts first, the photo can stay until the server's owner deletes it."
    )


def test_where_a_paid_clips_ticket_can_be_lost_the_page_says_so_and_who_can_prevent_it() -> None:
    told = (
        "Each is kept here for 24 hours. A restart of the server can lose its ticket; the server's owner can prevent "
        "that with S2V_DATABASE_URL."
    )
    for ledger_dir in (Path("own"), Path("data")):
        beside = Settings(keep_hours=24, data_mount="fuse", ledger_dir=ledger_dir)
        assert kept_here(replace(beside, api_key=KEY)) == told
        assert kept_here(beside) == "Each is kept here for 24 hours."
    assert kept_here(Settings(api_key=KEY)) == "Each is kept here until you delete it."


def test_a_key_is_known_by_its_ends_and_shown_nowhere() -> None:
    assert OWN.mask == "sk-…ffee"
    assert Key("short").mask == "…"
    assert "51c0" not in repr(OWN) + str(OWN)


async def test_a_clip_can_be_made_once_more_with_the_same_photo_or_link(orders: Orders, cache: Path) -> None:
    live = {"consent": True, "service": "live"}
    first = await orders.order(Order(photo=upload(cache), prompt=PROMPT, prompt_optimizer=False, **live))
    job, said, photo, link = await orders.again(first.ticket)
    assert (job.prompt, job.prompt_optimizer, link) == (PROMPT, False, "")
    assert said["facts"][0] == "512 × 512 px"
    second = await orders.order(Order(photo=str(photo), prompt="She waves.", **live))
    assert second.ticket != first.ticket
    other = await orders.order(Order(link="https://example.com/a.jpg", prompt=PROMPT, **live))
    assert (await orders.again(other.ticket))[1:] == ({}, None, "https://example.com/a.jpg")


def test_an_upload_is_a_regular_file_in_the_folder_of_uploads(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    (folder / "sha").mkdir(parents=True)
    photo, outside = folder / "sha" / "photo.jpg", tmp_path / "outside.jpg"
    for path in (photo, outside):
        path.write_bytes(b"x")
    (folder / "link.jpg").symlink_to(outside)
    (folder / "inner.jpg").symlink_to(photo)
    (folder / "circle").symlink_to(folder / "circle")
    (tmp_path / "uploads-of-others").mkdir()
    (tmp_path / "uploads-of-others" / "a.jpg").write_bytes(b"x")
    os.mkfifo(folder / "pipe")
    assert uploaded(str(photo), folder) == photo
    assert uploaded(f"{folder}/sha/../sha/photo.jpg", folder) == photo
    assert uploaded(str(folder / "inner.jpg"), folder) == photo
    forged = [outside, folder, folder / "sha", folder / "link.jpg", folder / "pipe", folder / "circle"]
    forged += [folder / "gone.jpg", f"{folder}/../outside.jpg", tmp_path / "uploads-of-others" / "a.jpg"]
    for path in (*forged, "", "\0", folder / ("a" * 5000), "/" * 5000, "\udcff", "~", "sha/photo.jpg"):
        with pytest.raises(ImageRejected, match="is no longer here"):
            uploaded(str(path), folder)


async def test_several_scenes_are_jobs_of_their_own_and_one_that_is_not_taken_is_told(
    orders: Orders, service: Service
) -> None:
    entered: list[Job] = []
    order = Order(link="https://photos.example/face.jpg", consent=True, service="live")
    scenes = ["She nods.", "She waves."]
    assert await orders.order_each(order, scenes, entered.append) == {}
    assert [job.prompt for job in entered] == scenes
    # None is sent if one of them cannot be.
    with pytest.raises(PromptRejected):
        await orders.order_each(order, ["She bows.", "x" * 2001], entered.append)
    with pytest.raises(PromptRejected, match="There are 7 scenes"):
        await orders.order_each(order, [f"She counts to {number}." for number in range(7)], entered.append)
    with pytest.raises(InputRejected):
        await orders.order_each(replace(order, consent=False), ["She bows.", "She sits."], entered.append)
    assert len(entered) == 2
    await until(lambda: len(service.calls("submit")) == 2, "both are paid")


async def test_scenes_that_are_sent_alike_are_one(orders: Orders) -> None:
    entered: list[Job] = []
    order = Order(link="https://photos.example/face.jpg", consent=True, service="simulator")
    assert await orders.order_each(order, ["She nods.", "She nods.\u200b"], entered.append) == {}
    assert [job.prompt for job in entered] == ["She nods."]


async def test_what_finds_no_room_among_several_is_told_by_its_scene(service: Service, tmp_path: Path) -> None:
    settings = Settings(api_key=KEY, base_url=service.base_url, data_dir=tmp_path, waiting=1)
    studio = Studio(settings, simulator=Simulator(tmp_path / "simulator"), timing=FAST)
    service.query = [task("Processing")]
    entered: list[Job] = []
    async with studio:
        orders = Orders(studio, settings, tmp_path)
        order = Order(link="https://photos.example/face.jpg", consent=True, service="live", visitor="one")
        # As many as render at once.
        for number in range(3):
            await orders.order(replace(order, prompt=f"She counts to {number}."))
            await until(lambda sent=number + 1: len(service.calls("submit")) == sent, "it is paid")
        refused = await orders.order_each(order, ["She nods.", "She waves."], entered.append)
        assert ([job.prompt for job in entered], list(refused)) == (["She nods."], ["She waves."])
        told = cards.refusals(1, refused)
        assert told["scenes"] == "She waves."
        assert told["said"] == (
            f"1 of 2 clips are being made. “She waves.”: {refused['She waves.'].what} Nothing was charged. "
            "What is left in the field was not taken."
        )
        with pytest.raises(Refused):
            await orders.order_each(order, ["She sits.", "She stands."], entered.append)
    assert cards.refusals(2, {}) | {"at": 0} == {"said": "", "scenes": None, "at": 0}


async def test_a_fault_at_the_second_of_several_hides_nothing_of_the_first(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[Job] = []
    order = Order(link="https://photos.example/face.jpg", consent=True, service="simulator")
    usual = orders.order

    async def faulty(order: Order) -> Job:
        if order.prompt == "She waves.":
            raise RuntimeError
        return await usual(order)

    monkeypatch.setattr(orders, "order", faulty)
    refused = await orders.order_each(order, ["She nods.", "She waves."], entered.append)
    assert [job.prompt for job in entered] == ["She nods."]
    # It may have been sent: it is not offered once more.
    told = cards.refusals(1, refused)
    assert (told["scenes"], "may have been charged" in told["said"]) == ("", True)
    with pytest.raises(RuntimeError):
        await orders.order_each(order, ["She waves.", "She nods again."], entered.append)


def test_scenes_stand_one_a_line_and_each_once() -> None:
    assert scenes_of(" She nods.\r\n\n\tShe waves. \u2028She nods.") == ["She nods.", "She waves."]
    assert scenes_of(" \n ") == [""]
    assert in_a_line("She nods,\n  and waves. ") == "She nods, and waves."


async def test_a_sum_is_named_for_several_clips(orders: Orders) -> None:
    assert orders.label("simulator", 1) == "Make the clip · free"
    assert orders.label("simulator", 3, more=True) == "Make 3 more · free"
    assert orders.price("simulator", 3) == "free"
    assert orders.price("live", 3).startswith("priced by")
