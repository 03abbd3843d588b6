"""The client against a service on a socket: what is on the wire, and what each answer leads to."""

import asyncio
import base64
import logging
import pickle
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from s2v_core import (
    ChargeUnknown,
    Client,
    Failed,
    ImageRejected,
    InputRejected,
    NotDownloaded,
    Photo,
    PromptRejected,
    Refused,
    SettingsError,
)
from s2v_core.errors import PollFailed
from s2v_core.reasons import Reason

from ..support.photos import PORTRAIT, Whereabouts
from ..support.service import FAST, FILE, KEY, PROMPT, TASK, Answer, Service, code, gateway, good, task
from ..support.waiting import until


def client_of(service: Service) -> Client:
    return Client(service.base_url, KEY, timing=FAST)


async def statuses(client: Client) -> list[str]:
    return [task.status async for task in client.watch(TASK)]


async def test_the_submit_on_the_wire_is_the_documented_one(service: Service, photo: Photo) -> None:
    async with client_of(service) as client:
        assert await client.submit(photo, PROMPT, prompt_optimizer=False) == TASK
    (request,) = service.requests
    assert (request.method, request.path, request.query) == ("POST", "/minimaxi/v1/video_generation", {})
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["connection"] == "close"
    assert request.json == {
        "model": "S2V-01",
        "prompt": PROMPT,
        "prompt_optimizer": False,
        "subject_reference": [
            {"type": "character", "image": ["data:image/jpeg;base64," + base64.b64encode(photo.jpeg).decode()]}
        ],
    }


async def test_a_public_link_is_passed_on_and_never_opened(service: Service) -> None:
    async with client_of(service) as client:
        await client.submit("https://photos.example/face.jpg", PROMPT)
    (request,) = service.requests
    assert request.json["subject_reference"][0]["image"] == ["https://photos.example/face.jpg"]


async def test_input_that_is_not_accepted_sends_nothing(service: Service, photo: Photo) -> None:
    async with client_of(service) as client:
        for wrong in (b"text", "http://photos.example/face.jpg", "missing.png"):
            with pytest.raises(ImageRejected):
                await client.submit(wrong, PROMPT)
        for prompt in ("", "x" * 2001):
            with pytest.raises(PromptRejected):
                await client.submit(photo, prompt)
    assert service.requests == []


@pytest.mark.parametrize(("asked", "sent"), [(None, True), (1.0, True), ("false", False), (0, False)])
async def test_the_optimizer_on_the_wire_is_true_or_false(asked: Any, sent: bool, service: Service) -> None:
    async with client_of(service) as client:
        await client.submit("https://photos.example/face.jpg", PROMPT, prompt_optimizer=asked)
        with pytest.raises(InputRejected, match="true or false"):
            await client.submit("https://photos.example/face.jpg", PROMPT, prompt_optimizer="maybe")  # type: ignore[arg-type]
    (request,) = service.requests
    assert request.json["prompt_optimizer"] is sent


async def test_a_photo_is_read_in_the_threads_for_photos(service: Service) -> None:
    photo = Whereabouts(PORTRAIT.read_bytes())
    async with client_of(service) as client:
        await client.submit(photo, PROMPT)
    assert photo.thread.startswith("photo")


UNCLEAR: dict[str, Callable[[], Answer]] = {
    "reset before the answer": lambda: Answer(reset=True),
    "closed before the answer": lambda: Answer(b"", cut=0, length=False, status=200),
    "cut off in its body": lambda: Answer({"base_resp": {"status_code": 0}}, cut=9),
    "no answer in time": lambda: Answer(stall=30),
    "no HTTP": lambda: Answer(headers={"Bad Header\x01": "x"}),
    "broken gzip": lambda: Answer(b"no gzip", headers={"Content-Encoding": "gzip"}),
    "HTTP 500": lambda: Answer(status=500),
    "HTTP 502": lambda: Answer(b"<html>", status=502),
    "HTTP 503": lambda: Answer(status=503),
    "HTTP 504": lambda: Answer(status=504),
    "HTTP 408": lambda: Answer(status=408),
    "upstream network": lambda: gateway(-10003, 502),
    "code 1000": lambda: code(1000),
    "code 1013": lambda: code(1013),
    "no task id": lambda: good(),
    "an unknown code": lambda: code(7777),
}
REFUSED: dict[str, Callable[[], Answer]] = {
    **{f"HTTP {status}": lambda status=status: Answer(status=status) for status in (302, 400, 401, 403, 404, 413, 422)},
    **{f"code {number}": lambda number=number: code(number) for number in (1004, 2049, 1008, 1026, 1042, 2013, 2056)},
    "gateway: key": lambda: gateway(-10001, 401),
    "gateway: no channel": lambda: gateway(-10008, 503),
    "gateway: quota": lambda: gateway(-10006, 429),
    "a refusal whose body is cut off": lambda: Answer(b"x" * 99, status=401, cut=5),
}


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR)
async def test_an_unclear_submit_is_sent_once_and_told(
    answer: Callable[[], Answer], service: Service, photo: Photo
) -> None:
    service.submit = [answer(), good(task_id="a second charge")]
    async with Client(service.base_url, KEY, timing=replace(FAST, submit=2.0)) as client:
        with pytest.raises(ChargeUnknown, match=r"may have been charged.*not sent again"):
            await client.submit(photo, PROMPT)
    assert len(service.requests) == 1


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
async def test_a_refused_submit_is_sent_once_and_not_charged(
    answer: Callable[[], Answer], service: Service, photo: Photo
) -> None:
    service.submit = [answer(), good(task_id="never reached")]
    async with client_of(service) as client:
        with pytest.raises(Refused, match="Nothing was charged"):
            await client.submit(photo, PROMPT)
    assert len(service.requests) == 1


@pytest.mark.parametrize("to", ["https://xn--zzzzzzzzzzz99999999/", "javascript:alert(1)", "https://[", "https://a:x/"])
async def test_a_redirect_to_nowhere_is_a_refusal_and_no_news(to: str, service: Service, photo: Photo) -> None:
    service.submit = service.query = service.retrieve = [Answer(status=302, headers={"Location": to})]
    async with client_of(service) as client:
        with pytest.raises(Refused, match=r"HTTP 302.*Nothing was charged"):
            await client.submit(photo, PROMPT)
        for ask in (client.query, client.retrieve):
            with pytest.raises(PollFailed):
                await ask(TASK)


@pytest.mark.parametrize("answer", [code(1002), code(1039), code(1041), code(2045), Answer(status=429)])
async def test_a_rate_limit_is_tried_again_twice_and_no_more(answer: Answer, service: Service, photo: Photo) -> None:
    service.submit = [answer, answer, good(task_id=TASK)]
    async with client_of(service) as client:
        assert await client.submit(photo, PROMPT) == TASK
    service.submit = [answer]
    async with client_of(service) as client:
        with pytest.raises(Refused, match="no more requests"):
            await client.submit(photo, PROMPT)
    assert len(service.requests) == 6


async def test_a_service_that_cannot_be_reached_is_tried_three_times_and_not_charged(photo: Photo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with Client(f"http://127.0.0.1:{port}/v1", KEY, timing=FAST) as client:
        with pytest.raises(Refused, match=r"could not be reached\. Nothing was charged"):
            await client.submit(photo, PROMPT)


@pytest.mark.parametrize(
    ("error", "tries", "outcome"),
    [
        (httpx.ConnectError, 3, Refused),
        (httpx.ConnectTimeout, 3, Refused),
        (httpx.PoolTimeout, 3, Refused),
        (httpx.ProxyError, 1, Refused),
        (httpx.UnsupportedProtocol, 1, Refused),
        (httpx.LocalProtocolError, 1, Refused),
        (httpx.ReadTimeout, 1, ChargeUnknown),
        (httpx.ReadError, 1, ChargeUnknown),
        (httpx.WriteTimeout, 1, ChargeUnknown),
        (httpx.WriteError, 1, ChargeUnknown),
        (httpx.RemoteProtocolError, 1, ChargeUnknown),
        (httpx.DecodingError, 1, ChargeUnknown),
        (httpx.CloseError, 1, ChargeUnknown),
        (ssl.SSLError, 1, ChargeUnknown),
    ],
)
async def test_each_error_of_the_transport_has_its_row_in_the_charge_table(
    error: type[Exception], tries: int, outcome: type[Exception], photo: Photo
) -> None:
    sent = []

    def fail(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise error("a reason")

    async with Client("https://api.example/v1", KEY, transport=httpx.MockTransport(fail), timing=FAST) as client:
        with pytest.raises(outcome):
            await client.submit(photo, PROMPT)
    assert len(sent) == tries


async def test_a_task_id_counts_even_when_the_rest_of_its_answer_is_lost(service: Service, photo: Photo) -> None:
    body = b'{"task_id": "%s"}' % TASK.encode()
    service.submit = [Answer(body + b" " * 500, cut=len(body) + 20)]
    async with client_of(service) as client:
        assert await client.submit(photo, PROMPT) == TASK


async def test_the_statuses_arrive_in_order_up_to_the_file(service: Service) -> None:
    async with client_of(service) as client:
        tasks = [task async for task in client.watch(TASK)]
    assert [task.status for task in tasks] == ["Preparing", "Queueing", "Processing", "Success"]
    assert tasks[-1].file_id == FILE
    assert all(request.query == {"task_id": [TASK]} for request in service.requests)


@pytest.mark.parametrize("word", ["succeeded", "Finished", "Completed", "done", "", "Processing"])
async def test_the_watch_ends_with_the_file_whatever_the_word(word: str, service: Service) -> None:
    service.query = [task("Processing"), task(word, file_id=FILE, video_width="--1")]
    async with client_of(service) as client:
        seen = [task async for task in client.watch(TASK)]
    assert [(task.status, task.file_id) for task in seen] == [("Processing", ""), ("Success", FILE)]


async def test_polling_rides_out_every_kind_of_bad_answer(service: Service) -> None:
    bad = [
        *(Answer(status=status) for status in (404, 429, 500, 502, 503)),
        *(code(number) for number in (1000, 1001, 1002, 1013, 1024, 1033, 1039, 2013, 4242)),
        *(gateway(number, 429) for number in (-10003, -10006, -10008)),
        Answer(b"<html>"), Answer(b""), Answer(b"{", length=False), Answer(reset=True), Answer(b"{}" * 9, cut=3),
        Answer([1]), task(""), task("Success"), task("Somewhere else"), Answer(b"[" * 2_000_000), code(0),
        Answer(b"x", headers={"Content-Encoding": "gzip"}), Answer(stall=30),
    ]  # fmt: skip
    assert len(bad) >= 30
    service.query = [*bad, task("Success", file_id=int(FILE))]
    async with Client(service.base_url, KEY, timing=replace(FAST, read=1.0)) as client:
        seen = [task async for task in client.watch(TASK)]
    assert seen[-1].file_id == FILE
    assert len(service.requests) > len(bad)


def timed(answers: list[httpx.Response], at: list[float]) -> httpx.MockTransport:
    """Answers each query in turn, and notes its moment."""

    def answer(request: httpx.Request) -> httpx.Response:
        at.append(time.monotonic())
        return answers.pop(0)

    return httpx.MockTransport(answer)


async def test_a_task_is_given_up_once_it_was_unknown_for_long_and_not_by_one_answer(service: Service) -> None:
    timing = replace(FAST, ready=0.5, unknown_task=0.3)
    service.query = [Answer(status=500), code(2013), task("Success", file_id=FILE)]
    async with Client(service.base_url, KEY, timing=timing) as client:
        assert await statuses(client) == ["Success"]
        service.query = [code(2013)]
        with pytest.raises(NotDownloaded, match="does not know") as caught:
            await statuses(client)
    assert caught.value.reason is Reason.UNKNOWN_TASK


LIMITED = [httpx.Response(429), httpx.Response(429, headers={"Retry-After": "1"})]


@pytest.mark.parametrize("limited", LIMITED, ids=["no word how long", "a second"])
async def test_a_rate_limit_makes_the_next_pause_longer_and_no_other(limited: httpx.Response) -> None:
    done = httpx.Response(200, json={"status": "Success", "file_id": FILE})
    at: list[float] = []
    transport = timed([limited, httpx.Response(500), httpx.Response(500), done], at)
    timing = replace(FAST, slow_poll=30.0 if "Retry-After" in limited.headers else 1.0)
    async with Client("https://api.example/v1", KEY, transport=transport, timing=timing) as client:
        assert await statuses(client) == ["Success"]
    first, *others = (later - earlier for earlier, later in pairwise(at))
    assert first >= 1.0
    assert sum(others) < 0.9


async def test_a_query_over_broken_encryption_is_no_news() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise ssl.SSLError(1, "wrong version number")

    async with Client("https://api.example/v1", KEY, transport=httpx.MockTransport(answer), timing=FAST) as client:
        with pytest.raises(PollFailed, match=r"did not answer \(SSLError\)"):
            await client.query(TASK)


async def test_polling_stops_at_the_deadline_and_keeps_the_task(service: Service) -> None:
    service.query = [task("Processing")]
    async with Client(service.base_url, KEY, timing=FAST.__class__(poll=0.01, watch=0.2)) as client:
        with pytest.raises(NotDownloaded, match="It is paid") as caught:
            await statuses(client)
    assert caught.value.task_id == TASK


@pytest.mark.parametrize("answer", [task("Fail"), task("failed"), code(1027, status="Fail"), code(1026)])
async def test_a_failed_task_ends_the_watch(answer: Answer, service: Service) -> None:
    service.query = [task("Processing"), answer]
    async with client_of(service) as client:
        with pytest.raises(Failed, match="provider decides") as caught:
            await statuses(client)
    assert caught.value.task_id == TASK
    assert len(service.requests) == 2


@pytest.mark.parametrize("answer", [code(1004, status=""), code(2049), code(1008), code(2056), gateway(-10001, 401)])
async def test_a_key_that_stops_working_stops_the_polling_and_keeps_the_task(answer: Answer, service: Service) -> None:
    service.query = [task("Queueing"), answer]
    async with client_of(service) as client:
        with pytest.raises(NotDownloaded, match=TASK):
            await statuses(client)
    assert len(service.requests) == 2


async def test_the_clip_is_fetched_whole_and_the_file_host_gets_no_key(
    service: Service, clip: bytes, tmp_path: Path
) -> None:
    async with client_of(service) as client:
        path = await client.fetch(FILE, tmp_path / "clip.mp4")
    assert path.read_bytes() == clip
    (request,) = service.calls("file")
    assert "authorization" not in request.headers
    assert KEY not in str(request)
    assert request.headers["accept-encoding"] == "identity"


BROKEN: dict[str, Callable[[bytes], Answer]] = {
    "403, expired": lambda clip: Answer(b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", status=403),
    "404": lambda clip: Answer(status=404),
    "empty": lambda clip: Answer(b""),
    "an HTML page": lambda clip: Answer(b"<html>sorry</html>"),
    "cut off with a length": lambda clip: Answer(clip, cut=len(clip) // 2),
    "cut off without a length": lambda clip: Answer(clip, cut=len(clip) // 2, length=False),
    "reset": lambda clip: Answer(reset=True),
    "encoded": lambda clip: Answer(b"\x1f\x8b" + clip, headers={"Content-Encoding": "gzip"}),
    "a picture": lambda clip: Answer(b"\xff\xd8\xff\xe0" + clip),
    "206": lambda clip: Answer(clip[:50], status=206),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_a_broken_download_starts_again_with_a_fresh_url(
    answer: Callable[[bytes], Answer], service: Service, clip: bytes, tmp_path: Path
) -> None:
    service.file = [answer(clip), answer(clip), answer(clip), Answer(clip)]
    async with client_of(service) as client:
        path = await client.fetch(FILE, tmp_path / "clip.mp4")
    assert path.read_bytes() == clip
    assert [request.query["Expires"] for request in service.calls("file")] == [["1"], ["2"], ["3"], ["4"]]
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


async def test_the_backup_url_is_the_last_resort(service: Service, clip: bytes, tmp_path: Path) -> None:
    service.file = [Answer(status=403)]
    service.retrieve = [lambda: service.link(backup_download_url=f"{service.origin}/backup.mp4")]
    async with client_of(service) as client:
        path = await client.fetch(FILE, tmp_path / "clip.mp4")
    assert path.read_bytes() == clip
    assert (len(service.calls("file")), len(service.calls("backup"))) == (4, 1)
    assert "authorization" not in service.calls("backup")[0].headers


async def test_a_clip_that_cannot_be_had_now_is_paid_and_leaves_no_part(service: Service, tmp_path: Path) -> None:
    service.file = [Answer(status=500)]
    async with client_of(service) as client:
        with pytest.raises(NotDownloaded, match=r"rendered.*HTTP 500.*It is paid.*Fetch it later") as caught:
            await client.fetch(FILE, tmp_path / "clip.mp4", task_id=TASK)
    assert caught.value.task_id == TASK
    assert list(tmp_path.iterdir()) == []


async def test_retrieve_is_asked_again_after_a_bad_answer(service: Service, clip: bytes, tmp_path: Path) -> None:
    service.retrieve = [Answer(status=502), code(1000), good(file={}), lambda: service.link()]
    async with client_of(service) as client:
        assert (await client.fetch(FILE, tmp_path / "clip.mp4")).read_bytes() == clip


@pytest.mark.parametrize("hops", [1, 3])
async def test_redirects_are_followed_three_times(hops: int, service: Service, clip: bytes, tmp_path: Path) -> None:
    hop = Answer(status=302, headers={"Location": "/output_aigc.mp4?Expires=0&hop=1"})
    service.file = [*[hop] * hops, Answer(clip)]
    async with client_of(service) as client:
        assert (await client.fetch(FILE, tmp_path / "clip.mp4")).read_bytes() == clip
    assert len(service.calls("retrieve")) == 1


async def test_a_loop_of_redirects_ends(service: Service, tmp_path: Path) -> None:
    service.file = [Answer(status=302, headers={"Location": "/output_aigc.mp4?Expires=0"})]
    async with client_of(service) as client:
        with pytest.raises(NotDownloaded, match="redirected"):
            await client.fetch(FILE, tmp_path / "clip.mp4")
    assert len(service.calls("file")) == 4 * 4


async def test_a_full_disk_is_told_and_the_clip_stays_fetchable(service: Service) -> None:
    async with client_of(service) as client:
        with pytest.raises(NotDownloaded, match="cannot be written here"):
            await client.fetch(FILE, "/proc/clip.mp4")


@pytest.mark.parametrize("key", ["", "sk 1", "sk-1\n", "ключ", "sk-\x00"])
def test_a_key_that_fits_no_header_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Client("https://api.302.ai/minimaxi/v1", key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("url", ["http://api.example/v1", "ftp://api.example", "https://", "https://me@api.example/v1",
                                 "https://api.example:x/v1", "api.302.ai", "https://api.example/v1?key=1"])  # fmt: skip
def test_a_base_url_that_would_carry_the_key_in_the_open_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        Client(url, KEY)


async def test_the_key_shows_in_no_repr_log_or_error(
    service: Service, photo: Photo, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    service.submit = [code(2013, f"bad key {KEY} given")]
    async with client_of(service) as client:
        with pytest.raises(Refused, match=r"bad key \[key\] given"):
            await client.submit(photo, PROMPT)
        await statuses(client)
        await client.fetch(FILE, tmp_path / "clip.mp4")
        assert KEY not in repr(client)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(client)
    assert caplog.records
    assert KEY not in caplog.text


@pytest.mark.parametrize("before", [0, 170, 180, 199])
async def test_no_part_of_the_key_shows_where_a_message_is_cut(before: int, service: Service, photo: Photo) -> None:
    service.submit = service.query = [code(2013, f"{'x' * before}{KEY} is not known")]
    async with client_of(service) as client:
        with pytest.raises(Refused) as refused:
            await client.submit(photo, PROMPT)
        with pytest.raises(PollFailed) as news:
            await client.query(TASK)
    assert KEY[:8] not in f"{refused.value} {news.value}"


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [(code(2013), True), (task("Fail"), True), (code(1004), False), (gateway(-10001, 401), False)],
)
async def test_a_key_is_checked_by_a_free_call(answer: Answer, accepted: bool, service: Service) -> None:
    service.query = [answer]
    async with client_of(service) as client:
        if accepted:
            await client.check()
        else:
            with pytest.raises(Refused, match="does not accept this key"):
                await client.check()
    assert [request.method for request in service.requests] == ["GET"]


async def test_a_cancelled_submit_is_not_sent_again(service: Service, photo: Photo) -> None:
    service.submit = [Answer(stall=5)]
    async with client_of(service) as client:
        submit = asyncio.create_task(client.submit(photo, PROMPT))
        await until(lambda: service.requests, "it is sent")
        submit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submit
    assert len(service.requests) == 1


async def test_the_log_names_no_pre_signed_link(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Client(service.base_url, KEY) as client:
        await client.fetch(FILE, tmp_path / "clip.mp4")
    assert "HTTP Request: GET" in caplog.text
    assert "Signature" not in "".join(record.getMessage() for record in caplog.records if record.name == "httpx")
