"""The simulator over its own wire, and the clips that it makes."""

import base64
import io
import json
import os
import shutil
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
import pytest_asyncio
from PIL import Image, ImageChops, ImageDraw
from starlette.requests import Request
from starlette.responses import Response

from s2v_core import wire
from s2v_core.simulator.service import Simulator

from ..support.clips import Clip, describe
from ..support.waiting import until

AT_302, AT_MINIMAX = "/minimaxi/v1", "/v1"
KEY = {"Authorization": "Bearer sk-anything"}
PROMPT = "She looks up from a book and smiles, warm evening light."
LINK = "https://photos.example/portrait.jpg"
EDGE = (200, 20, 200)


def data_url(picture: Image.Image) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


PHOTO = data_url(Image.new("RGB", (400, 500), "grey"))


def body(image: object = PHOTO, **fields: object) -> dict[str, Any]:
    return {"model": "S2V-01", "subject_reference": [{"type": "character", "image": [image]}], **fields}


def client(simulator: Simulator, base: str = AT_302) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(simulator)
    return httpx.AsyncClient(transport=transport, base_url="http://simulator" + base, headers=KEY)


async def watch(http: httpx.AsyncClient, task_id: str) -> list[dict[str, Any]]:
    """Every answer that says something new, to the end."""
    answers: list[dict[str, Any]] = []

    async def ended() -> bool:
        answer = (await http.get(wire.QUERY, params={"task_id": task_id})).json()
        if not answers or answer != answers[-1]:
            answers.append(answer)
        return answer["status"] in {"Success", "Fail"}

    await until(ended, "the task has ended")
    return answers


def refusal(response: httpx.Response) -> tuple[int, str]:
    assert response.status_code == 200
    base = response.json()["base_resp"]
    assert not response.json().get("task_id")
    return base["status_code"], base["status_msg"]


def frames(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as container:
        return [frame.to_image() for number, frame in enumerate(container.decode(video=0)) if number % 15 in (0, 14)]


@dataclass
class Made:
    """A finished task. Copy the folder before something in it is changed."""

    folder: Path
    task_id: str
    file_id: str
    answers: list[dict[str, Any]]

    @property
    def clip(self) -> Path:
        return self.folder / f"{self.file_id}.mp4"


async def make(folder: Path, asked: dict[str, Any], base: str = AT_302) -> Made:
    # No status passes between two queries, however long they take: the time is what is counted.
    now, steps = time.time(), count()
    async with client(Simulator(folder, seconds=3.0, clock=lambda: now + 0.05 * next(steps)), base) as http:
        # What an old client of the service sends along.
        submitted = (await http.post(wire.SUBMIT, params={"GroupId": "1743"}, content=json.dumps(asked))).json()
        answers = await watch(http, submitted["task_id"])
    return Made(folder, submitted["task_id"], answers[-1]["file_id"], answers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A tall photo, as narrow as the service takes it, with its edges marked."""
    photo = Image.new("RGB", (400, 1000), "#999999")
    ImageDraw.Draw(photo).rectangle((0, 0, 399, 999), outline=EDGE, width=30)
    return await make(tmp_path_factory.mktemp("tall"), body(data_url(photo), prompt=PROMPT, prompt_optimizer=False))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def linked(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A link and a prompt that shows nothing, with fields that are not for this model."""
    asked = body(LINK, prompt="\U0010fffd \ud800 \0", duration=6, callback_url="https://elsewhere.example")
    return await make(tmp_path_factory.mktemp("linked"), asked, AT_MINIMAX)


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Made:
    folder = shutil.copytree(made.folder, tmp_path / "copy")
    return Made(folder, made.task_id, made.file_id, made.answers)


@pytest.fixture
async def http(made: Made) -> AsyncIterator[httpx.AsyncClient]:
    async with client(Simulator(made.folder, seconds=1.0)) as http:
        yield http


async def link_to(http: httpx.AsyncClient, made: Made) -> str:
    answer = (await http.get(wire.RETRIEVE, params={"file_id": made.file_id})).json()
    return str(answer["file"]["download_url"])


# The task


def test_a_task_goes_through_every_status_in_order(made: Made) -> None:
    assert [answer["status"] for answer in made.answers] == ["Preparing", "Queueing", "Processing", "Success"]
    for answer in made.answers[:-1]:
        assert (answer["file_id"], answer["video_width"], answer["video_height"]) == ("", 0, 0)
    assert (made.answers[-1]["video_width"], made.answers[-1]["video_height"]) == (1280, 720)
    assert {answer["task_id"] for answer in made.answers} == {made.task_id}


async def test_a_file_id_is_a_string_in_one_answer_and_an_integer_in_the_other(
    made: Made, http: httpx.AsyncClient
) -> None:
    answer = (await http.get(wire.RETRIEVE, params={"file_id": made.file_id})).json()
    assert answer["file"].pop("download_url").startswith(f"http://simulator/files/{made.file_id}/output_aigc.mp4?")
    assert answer["file"].pop("created_at") == pytest.approx(time.time(), abs=120)
    assert answer == {
        "file": {
            "file_id": int(made.file_id),
            "bytes": 0,
            "filename": "output_aigc.mp4",
            "purpose": "video_generation",
        },
        "base_resp": {"status_code": 0, "status_msg": "success"},
    }
    for name in (made.task_id, made.file_id):
        assert 15 <= len(name) <= 18
        assert name.isdigit()
        assert name[0] != "0"


async def test_our_own_wire_reads_its_answers(made: Made, http: httpx.AsyncClient) -> None:
    query = await http.get(wire.QUERY, params={"task_id": made.task_id})
    task = wire.read_query(made.task_id, query.status_code, query.content)
    assert task == wire.Task(made.task_id, "Success", made.file_id)
    retrieve = await http.get(wire.RETRIEVE, params={"file_id": made.file_id})
    assert wire.read_retrieve(retrieve.status_code, retrieve.content).url.startswith("http://simulator/files/")


async def test_a_restart_in_the_middle_of_a_rendering_loses_nothing(copy: Made) -> None:
    (copy.folder / f"{copy.file_id}.mp4").unlink()
    async with client(Simulator(copy.folder, seconds=0.1)) as http:
        early = await http.get(wire.RETRIEVE, params={"file_id": copy.file_id})
        assert refusal(early) == (2013, "The file is not there yet.")
        answers = await watch(http, copy.task_id)
    # The clock has long run out, and still there is no success without a clip.
    assert [answer["status"] for answer in answers] == ["Processing", "Success"]
    assert describe(copy.clip).frames == 150


async def test_a_link_from_before_a_restart_still_works(copy: Made) -> None:
    async with client(Simulator(copy.folder, seconds=0.1)) as http:
        url = await link_to(http, copy)
    async with client(Simulator(copy.folder, seconds=0.1)) as http:
        assert (await http.get(url)).content == copy.clip.read_bytes()


async def test_a_rendering_that_fails_is_a_task_that_fails(copy: Made) -> None:
    (copy.folder / f"{copy.file_id}.mp4").unlink()
    (copy.folder / f"{copy.task_id}.jpg").write_bytes(b"no picture")
    async with client(Simulator(copy.folder)) as http:
        last = (await watch(http, copy.task_id))[-1]
    assert last == {
        "task_id": copy.task_id,
        "status": "Fail",
        "file_id": "",
        "video_width": 0,
        "video_height": 0,
        "base_resp": {"status_code": 0, "status_msg": "success"},
    }


def test_a_start_removes_what_is_a_day_old_and_nothing_of_others(copy: Made) -> None:
    names = {f"{copy.task_id}.json", f"{copy.task_id}.jpg", copy.clip.name}
    (copy.folder / "ledger.db").touch()
    (copy.folder / f"{copy.clip.name}.0123abcd.part").touch()
    Simulator(copy.folder)
    assert names < {path.name for path in copy.folder.iterdir()}
    yesterday = time.time() - 25 * 3600
    for path in copy.folder.iterdir():
        os.utime(path, (yesterday, yesterday))
    Simulator(copy.folder)
    assert [path.name for path in copy.folder.iterdir()] == ["ledger.db"]


# Keys

CALLS = [
    pytest.param("POST", wire.SUBMIT, id="submit"),
    pytest.param("GET", wire.QUERY, id="query"),
    pytest.param("GET", wire.RETRIEVE, id="retrieve"),
]
BAD_KEYS = [
    pytest.param(None, id="none"),
    pytest.param("Bearer ", id="empty"),
    pytest.param("sk-1234", id="no Bearer"),
    pytest.param("Bearer sk-wrong-1", id="wrong"),
]


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_a_bad_key_is_refused_as_each_provider_does(
    tmp_path: Path, method: str, path: str, key: str | None
) -> None:
    headers = {"Authorization": key} if key else {}
    transport = httpx.ASGITransport(Simulator(tmp_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator", headers=headers) as http:
        at_302 = await http.request(method, AT_302 + path)
        assert (at_302.status_code, at_302.json()["error"]["err_code"]) == (401, -10001)
        assert refusal(await http.request(method, AT_MINIMAX + path))[0] == 1004
    assert not list(tmp_path.iterdir())


# What is refused


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        pytest.param(b"{", "JSON", id="no JSON"),
        pytest.param(b"\xff\xfe", "JSON", id="no text"),
        pytest.param(b"[" * 100_000, "JSON", id="JSON too deep"),
        pytest.param([], "subject_reference", id="no object"),
        pytest.param(body() | {"model": "T2V-01"}, "S2V-01", id="another model"),
        pytest.param({"subject_reference": body()["subject_reference"]}, "S2V-01", id="no model"),
        pytest.param({"model": "S2V-01"}, "subject_reference", id="no subject"),
        pytest.param(body() | {"subject_reference": []}, "subject_reference", id="an empty list"),
        pytest.param(body() | {"subject_reference": {}}, "subject_reference", id="no list"),
        pytest.param(
            body() | {"subject_reference": body()["subject_reference"] * 2}, "subject_reference", id="two subjects"
        ),
        pytest.param(
            body() | {"subject_reference": [{"type": "dog", "image": [PHOTO]}]}, "character", id="another type"
        ),
        pytest.param(
            body() | {"subject_reference": [{"type": "character", "image": PHOTO}]}, "image", id="a bare string"
        ),
        pytest.param(
            body() | {"subject_reference": [{"type": "character", "image": [PHOTO] * 2}]}, "image", id="two images"
        ),
        pytest.param(body(7), "image", id="a number for an image"),
        pytest.param(body("AAAA"), "data URL", id="bare base64"),
        pytest.param(body("http://photos.example/a.jpg"), "https", id="a link without TLS"),
        pytest.param(body("https://localhost/a.jpg"), "link", id="a link to this machine"),
        pytest.param(body("data:image/jpeg;base64,%%%"), "base64", id="damaged base64"),
        pytest.param(body("data:image/jpeg;base64,aGVsbG8="), "not a picture", id="no picture"),
        pytest.param(body(data_url(Image.new("RGB", (300, 400)))), "300 × 400 px", id="a small photo"),
        pytest.param(body(data_url(Image.new("RGB", (1001, 400)))), "1001 × 400 px", id="a wide photo"),
        pytest.param(body(prompt=7), "2000", id="a number for a prompt"),
        pytest.param(body(prompt="x" * 2001), "2000", id="a long prompt"),
        pytest.param(body(prompt_optimizer="yes"), "prompt_optimizer", id="a word for the optimizer"),
    ],
)
async def test_a_bad_submit_is_refused_in_a_sentence_and_leaves_nothing(
    tmp_path: Path, asked: object, sentence: str
) -> None:
    content = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    async with client(Simulator(tmp_path)) as http:
        response = await http.post(wire.SUBMIT, content=content, headers={"Content-Type": "application/json"})
    code, message = refusal(response)
    assert code == 2013
    assert sentence in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        pytest.param("\u200b" * 4 + "abc", 1042, id="more of them than letters"),
        pytest.param("\u200b", 1042, id="nothing else"),
        pytest.param("\u200b   \n", 1042, id="spaces do not count as letters"),
        pytest.param("\u200b" * 3 + "abc", 2013, id="as many as letters"),
    ],
)
async def test_too_many_invisible_characters_have_a_code_of_their_own(tmp_path: Path, prompt: str, code: int) -> None:
    # The photo is bad as well, which is noticed later: nothing needs to be rendered here.
    async with client(Simulator(tmp_path)) as http:
        assert refusal(await http.post(wire.SUBMIT, json=body("bad", prompt=prompt)))[0] == code


@pytest.mark.parametrize(
    ("path", "params"),
    [
        pytest.param(wire.QUERY, {}, id="no task"),
        pytest.param(wire.QUERY, {"task_id": "306792606023824"}, id="an unknown task"),
        pytest.param(wire.RETRIEVE, {}, id="no file"),
        pytest.param(wire.RETRIEVE, {"file_id": "427071051673913"}, id="an unknown file"),
    ],
)
async def test_what_is_not_known_is_an_invalid_parameter(
    http: httpx.AsyncClient, path: str, params: dict[str, str]
) -> None:
    assert refusal(await http.get(path, params=params))[0] == 2013


async def test_a_task_is_not_asked_for_by_a_path(made: Made, http: httpx.AsyncClient) -> None:
    assert refusal(await http.get(wire.QUERY, params={"task_id": f"../{made.folder.name}/{made.task_id}"}))[0] == 2013


async def test_beyond_its_room_the_oldest_of_its_files_go_and_no_others(tmp_path: Path) -> None:
    for number in range(5):
        old = tmp_path / f"{10**15 + number}.mp4"
        old.write_bytes(bytes(20_000))
    (tmp_path / "somebody's.mp4").write_bytes(bytes(90_000))
    async with client(Simulator(tmp_path, seconds=60, most_bytes=60_000)) as http:
        await http.post(wire.SUBMIT, json=body())
    left = {path.name for path in tmp_path.iterdir() if path.suffix == ".mp4"}
    assert left == {f"{10**15 + 3}.mp4", f"{10**15 + 4}.mp4", "somebody's.mp4"}


async def test_a_body_over_28_mb_is_turned_away_while_it_arrives(tmp_path: Path) -> None:
    sent = 0

    async def megabytes() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 1_000_000

    async with client(Simulator(tmp_path)) as http:
        response = await http.post(wire.SUBMIT, content=megabytes())
    assert (response.status_code, response.json()["error"]["err_code"]) == (413, -10011)
    assert sent == 29


# The download


async def test_a_download_needs_no_key_and_answers_ranges(made: Made, http: httpx.AsyncClient) -> None:
    url = await link_to(http, made)
    del http.headers["Authorization"]
    whole = await http.get(url)
    assert (whole.status_code, whole.headers["Content-Type"]) == (200, "video/mp4")
    assert whole.content == made.clip.read_bytes()
    part = await http.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])


async def test_an_expired_link_answers_403_with_xml(made: Made) -> None:
    async with client(Simulator(made.folder, seconds=1.0, link_seconds=0)) as http:
        response = await http.get(await link_to(http, made))
    assert response.status_code == 403
    assert response.headers["Content-Type"].startswith("application/xml")
    assert ET.fromstring(response.content).findtext("Code") == "AccessDenied"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"Signature": "AAAA"}, id="another signature"),
        pytest.param({"Signature": "ü"}, id="a signature that is no ASCII"),
        pytest.param({"Expires": "99999999999"}, id="a later end"),
        pytest.param({"Expires": "soon"}, id="no end"),
    ],
)
async def test_a_link_that_was_changed_answers_403(
    made: Made, http: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    url = httpx.URL(await link_to(http, made)).copy_merge_params(changed)
    response = await http.get(url)
    assert response.status_code == 403
    assert ET.fromstring(response.content).findtext("Code") == "SignatureDoesNotMatch"


# Faults


@pytest.mark.parametrize("call", ["submit", "query", "retrieve", "download"])
async def test_a_fault_is_asked_first_and_its_answer_is_sent(made: Made, call: str) -> None:
    asked = []

    async def fault(name: str, request: Request) -> Response | None:
        asked.append((name, request.method))
        return Response("out of order", 503) if name == call else None

    requests: dict[str, Callable[[httpx.AsyncClient], Any]] = {
        "submit": lambda http: http.post(wire.SUBMIT, content=b"{"),
        "query": lambda http: http.get(wire.QUERY),
        "retrieve": lambda http: http.get(wire.RETRIEVE),
        "download": lambda http: http.get("http://simulator/files/427071051673913/output_aigc.mp4"),
    }
    async with client(Simulator(made.folder, fault=fault)) as http:
        # Even before the key.
        del http.headers["Authorization"]
        answers = {name: await request(http) for name, request in requests.items()}
    assert asked == [("submit", "POST"), ("query", "GET"), ("retrieve", "GET"), ("download", "GET")]
    assert {name for name, answer in answers.items() if answer.text == "out of order"} == {call}


# The clip


def test_a_clip_has_the_facts_of_a_real_one(made: Made) -> None:
    assert describe(made.clip) == Clip(width=1280, height=720, seconds=6.0, frames=150)
    with av.open(str(made.clip)) as container:
        assert not container.streams.audio
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert video.average_rate == 25
        assert sum(1 for _ in container.decode(video)) == 150
    data = made.clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_photo_is_whole_in_every_frame_and_the_camera_moves(made: Made) -> None:
    boxes = []
    for frame in frames(made.clip):
        red, green, blue = frame.reduce(4).split()
        green = green.point(lambda value: 255 * (value < 90))
        red, blue = (channel.point(lambda value: 255 * (value > 160)) for channel in (red, blue))
        box = ImageChops.darker(green, ImageChops.darker(red, blue)).getbbox()
        assert box
        boxes.append(tuple(4 * edge for edge in box))
    for left, top, right, bottom in boxes:
        assert 0 < left < right < 1280
        assert 0 < top < bottom < 720
        assert (bottom - top) / (right - left) == pytest.approx(1000 / 400, rel=0.05)
    heights = [bottom - top for _, top, _, bottom in boxes]
    assert min(heights) > 500
    assert max(heights) > 1.08 * min(heights)
    # It plays in a loop, without a jump.
    assert boxes[0] == pytest.approx(boxes[-1], abs=4)


CORNER = (1100, 16, 1264, 52)


@pytest.mark.parametrize("size", [1280, 640])
def test_the_word_simulated_is_in_every_frame_and_can_be_read_in_a_small_one(size: int, made: Made) -> None:
    for frame in frames(made.clip):
        # Nothing in this photo is nearly white.
        darkest, brightest = frame.crop(CORNER).reduce(1280 // size).convert("L").getextrema()
        assert darkest < 80
        assert brightest > 200


def test_nothing_but_the_word_simulated_is_written_into_a_clip(made: Made) -> None:
    for frame in frames(made.clip):
        written = frame.convert("L").point(lambda value: 255 * (value > 190)).getbbox()
        assert written
        assert CORNER[0] < written[0] < written[2] < CORNER[2]
        assert CORNER[1] < written[1] < written[3] < CORNER[3]


async def test_a_task_of_an_earlier_version_which_kept_its_prompt_is_known(copy: Made) -> None:
    record = copy.folder / f"{copy.task_id}.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"prompt": PROMPT}))
    async with client(Simulator(copy.folder)) as http:
        assert (await watch(http, copy.task_id))[-1]["status"] == "Success"


def test_a_link_gets_a_drawn_portrait(linked: Made) -> None:
    assert linked.answers[-1]["status"] == "Success"
    middle = frames(linked.clip)[10]
    darkest, brightest = middle.crop(CORNER).convert("L").getextrema()
    assert darkest < 80
    assert brightest > 225
    # Somebody's hair, skin and clothes in the middle of the picture.
    seen = {middle.getpixel(place) for place in ((640, 190), (640, 300), (640, 680))}
    assert len(seen) == 3
