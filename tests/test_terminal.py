"""The terminal against a service on a socket: results, exit codes, and how many times it pays."""

import asyncio
import io
import json
import os
import pty
import re
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import pytest
from PIL import Image

from s2v_core import S2VError, Settings, UnknownTicket
from s2v_core.__main__ import main
from s2v_core.clip.marks import without
from s2v_core.commands.exits import EXITS
from s2v_core.errors import Charge
from s2v_core.jobs.ledger import Ledger
from s2v_core.language import read_in
from s2v_core.network import VARIABLES, certificates
from s2v_core.text import slug

from .support.clips import Clip, describe
from .support.photos import PORTRAIT
from .support.service import FILE, KEY, PROMPT, TASK, Answer, Service, code, gateway, good, task
from .support.waiting import until

LINK = "https://photos.example/face.jpg"


@dataclass
class Run:
    exit: int
    out: str
    err: str


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("S2V_") and name.upper() not in VARIABLES
    }
    pace = {"S2V_POLL_SECONDS": "0.02", "S2V_SIMULATOR_SECONDS": "0.5"}
    return kept | {"S2V_DATA_DIR": str(tmp_path / "data"), "LC_ALL": "C.UTF-8"} | pace


@pytest.fixture
def live(environment: dict[str, str], service: Service) -> dict[str, str]:
    return environment | {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url}


async def run(environment: dict[str, str], *arguments: str, stdout: TextIO | None = None) -> Run:
    """The command, in a thread of this process: starting 50 interpreters takes half a minute."""
    out = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(stdout or out),
        redirect_stderr(io.StringIO()) as err,
    ):
        for name in os.environ.keys() - environment:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            code = await asyncio.to_thread(main, arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Run(code, out.getvalue(), err.getvalue())


async def interrupted(
    environment: dict[str, str], service: Service, *signals: signal.Signals, during: Callable[[], object] | None = None
) -> Run:
    """`generate` as a process of its own, which gets `signals` when its payment is on the way, or `during` is true."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "s2v_core", "generate", str(PORTRAIT), PROMPT,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr

    def begun() -> object:
        assert process.returncode is None
        return during() if during else service.calls("submit")

    await until(begun, "the command has come so far")
    err = b""
    try:
        for number in signals:
            process.send_signal(number)
            # Its word about it, so that the next signal does not melt into this one.
            err += await process.stderr.readline()
        out, rest = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return Run(process.returncode or 0, out.decode(), (err + rest).decode())


async def finished(environment: dict[str, str]) -> str:
    """The ticket of a job that has its clip."""
    assert (await run(environment, "generate", str(PORTRAIT), PROMPT)).exit == 0
    return (await run(environment, "jobs")).out.split()[0]


NO_WAY_OUT = {"ALL_PROXY": "socks5://127.0.0.1:1", "SSL_CERT_FILE": "/no/such", "NO_PROXY": "[::1]"}


async def test_without_a_key_a_simulated_clip_is_made(environment: dict[str, str], tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    certificates.cache_clear()
    ended = await run(environment | NO_WAY_OUT, "generate", str(PORTRAIT), PROMPT, "-o", str(clip))
    assert (ended.exit, ended.out, ended.err) == (0, f"{clip}\n", "")
    facts = describe(clip)
    assert (facts.width, facts.height, facts.frames, facts.seconds) == (1280, 720, 150, 6.0)


GOOD: dict[str, list[Answer]] = {
    "as documented": [task("Preparing"), task("Queueing"), task("Processing"), task("Success", file_id=FILE)],
    "other case, integer file_id": [task("processing"), task("success", file_id=int(FILE))],
    "no file_id and no size before the end": [good(status="Processing"), good(status="Success", file_id=FILE)],
    "an undocumented status": [task("Warming up"), task("Success", file_id=FILE)],
    "Success before its file_id": [task("Success", file_id=""), task("Success", file_id=FILE)],
    "an empty answer and an error between": [Answer(b""), code(1013, status=""), task("Success", file_id=FILE)],
}


@pytest.mark.parametrize("query", GOOD.values(), ids=GOOD)
async def test_each_good_answer_ends_in_a_clip_for_one_post(
    query: list[Answer], live: dict[str, str], service: Service, clip: bytes, tmp_path: Path
) -> None:
    service.query = list(query)
    ended = await run(live, "generate", str(PORTRAIT), PROMPT, "--no-optimizer", "-o", str(tmp_path / "clip.mp4"))
    assert (ended.exit, ended.err) == (0, "")
    assert without(tmp_path / "clip.mp4") == clip
    (submit,) = service.calls("submit")
    assert submit.headers["authorization"] == f"Bearer {KEY}"
    assert submit.json.keys() == {"model", "prompt", "prompt_optimizer", "subject_reference"}
    assert submit.json["prompt_optimizer"] is False
    assert all("authorization" not in request.headers for request in service.calls("file"))
    assert not list(tmp_path.rglob("*.part"))


BAD: dict[str, tuple[dict[str, list[Answer]], int, str]] = {
    "key refused": ({"submit": [code(1004)]}, 3, "does not accept this key"),
    "gateway, key refused": ({"submit": [gateway(-10001, 401)]}, 3, "does not accept this key"),
    "sensitive": ({"submit": [code(1026)]}, 3, "Nothing was charged"),
    "no balance": ({"submit": [code(1008)]}, 3, "balance"),
    "no channel": ({"submit": [gateway(-10008, 503)]}, 3, "no capacity"),
    "failed": ({"query": [task("Fail")]}, 4, "provider decides"),
    "judged sensitive": ({"query": [task("Processing"), code(1027, status="Fail")]}, 4, TASK),
    "connection lost": ({"submit": [Answer(reset=True)]}, 5, "may have been charged"),
    "HTTP 500": ({"submit": [Answer(status=500)]}, 5, "may have been charged"),
    "HTTP 504": ({"submit": [Answer(b"<html>", status=504)]}, 5, "not sent again"),
    "no task id": ({"submit": [good()]}, 5, "usage page"),
    "internal error": ({"submit": [code(1000)]}, 5, "may have been charged"),
    "key stops working": ({"query": [task("Queueing"), code(1004, status="")]}, 6, f"Task {TASK}"),
}


@pytest.mark.parametrize(("answers", "exit_code", "says"), BAD.values(), ids=BAD)
async def test_each_bad_answer_has_its_exit_code_and_one_post(
    answers: dict[str, list[Answer]], exit_code: int, says: str, live: dict[str, str], service: Service
) -> None:
    for call, given in answers.items():
        setattr(service, call, list(given))
    ended = await run(live, "generate", str(PORTRAIT), PROMPT)
    assert (ended.exit, ended.out) == (exit_code, "")
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert KEY not in ended.err
    assert len(service.calls("submit")) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "missing.jpg", PROMPT], "cannot be opened: No such file"),
        (["generate", __file__, PROMPT], "not a picture"),
        (["generate", str(PORTRAIT), " "], "prompt is empty"),
        (["generate", str(PORTRAIT), "x" * 2001], "2001 characters"),
        (["generate", "http://photos.example/face.jpg", PROMPT], "begins with https"),
        (["generate", str(PORTRAIT), PROMPT, "-o", "/no/such/folder/clip.mp4"], "cannot be written"),
        (["generate", str(PORTRAIT), PROMPT, "-o", "/proc/clip.mp4"], "cannot be written"),
        (["generate", str(PORTRAIT), PROMPT, "-o", "/tmp"], "(Is a directory)"),
        (["generate", str(PORTRAIT), PROMPT, "-o", "/tmp/" + "x" * 256], "(File name too long)"),
        (["generate", str(PORTRAIT), PROMPT, "-o", __file__ + "/clip.mp4"], "(Not a directory)"),
        (["generate", str(PORTRAIT)], "required: PROMPT"),
        (["make"], "invalid choice"),
        ([], "required: COMMAND"),
    ],
)
async def test_wrong_usage_exits_with_2_and_sends_nothing(
    arguments: list[str], says: str, live: dict[str, str], service: Service
) -> None:
    ended = await run(live, *arguments)
    assert (ended.exit, ended.out) == (2, "")
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert service.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S2V_API_KEY", "sk-canary\nx"),
        ("S2V_API_KEY", "sk canary"),
        ("S2V_BASE_URL", "http://canary.example/v1"),
        ("S2V_POLL_SECONDS", "nan"),
        ("S2V_POLL_SECONDS", "-1"),
        ("S2V_SIMULATOR_SECONDS", "1e309"),
        ("S2V_DATA_DIR", "/proc/canary"),
        ("S2V_DATA_DIR", __file__),
    ],
)
async def test_a_wrong_setting_ends_the_start_and_is_named_but_not_shown(
    name: str, value: str, environment: dict[str, str]
) -> None:
    ended = await run(environment | {name: value}, "check")
    assert (ended.exit, ended.out) == (2, "")
    assert ended.err.startswith(f"{name}: ")
    assert value not in ended.err
    assert "canary" not in ended.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://canary:1"),
        ("https_proxy", "canary://x"),
        ("HTTPS_PROXY", "http://"),
        ("NO_PROXY", "127.0.0.1,[::1]"),
        ("NO_PROXY", "fe80::/10"),
        ("SSL_CERT_FILE", "/canary"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_DIR", "/canary"),
    ],
)
async def test_a_network_that_cannot_work_is_named_before_anything_is_sent(
    name: str, value: str, environment: dict[str, str]
) -> None:
    certificates.cache_clear()
    live = {**environment, "S2V_API_KEY": KEY, "S2V_BASE_URL": "https://127.0.0.1.example/v1", name: value}
    for arguments in (["generate", str(PORTRAIT), PROMPT], ["check"]):
        ended = await run(live, *arguments)
        assert (ended.exit, ended.out) == (2, "")
        assert ended.err.startswith(f"{name}: ")
        assert "canary" not in ended.err


async def test_a_database_that_cannot_work_is_named_but_not_shown(environment: dict[str, str]) -> None:
    for url in ("canary", "canary://x", "sqlite://"):
        ended = await run(environment | {"S2V_DATABASE_URL": url}, "jobs")
        assert (ended.exit, ended.out) == (2, "")
        assert ended.err.startswith("S2V_DATABASE_URL: ")
        assert "canary" not in ended.err


async def test_the_first_command_in_a_fresh_clone_makes_its_folder(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del environment["S2V_DATA_DIR"]
    monkeypatch.chdir(tmp_path)
    ended = await run(environment, "jobs")
    assert (ended.exit, ended.out, ended.err) == (0, "", "")
    assert (tmp_path / "data" / "ledger.db").is_file()
    monkeypatch.chdir("/proc")
    ended = await run(environment, "jobs")
    assert (ended.exit, ended.out) == (2, "")
    assert ended.err.startswith("S2V_DATA_DIR is not set, and /proc/data is used: this folder cannot be made")


async def test_a_full_disk_is_told_at_the_start(environment: dict[str, str]) -> None:
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from s2v_core.__main__ "
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", limited + "import main; sys.exit(main())", "jobs", env=environment,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == 2
    assert err == b"S2V_DATA_DIR: this folder cannot be written to (File too large).\n"


async def test_a_folder_of_any_name_keeps_its_ledger_inside(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("a?b", "a#b", "a%20b", "a b", "ü\udcff"):
        folder = tmp_path / name
        ended = await run(environment | {"S2V_DATA_DIR": str(folder)}, "jobs")
        assert (ended.exit, ended.err) == (0, "")
        assert (folder / "ledger.db").is_file()


async def test_live_without_a_key_exits_with_2(environment: dict[str, str]) -> None:
    ended = await run(environment, "generate", str(PORTRAIT), PROMPT, "--service", "live")
    assert (ended.exit, ended.err) == (2, "S2V_API_KEY: the live service needs a key.\n")


async def test_a_file_says_who_made_it_and_whether_it_is_from_here(
    live: dict[str, str], environment: dict[str, str], tmp_path: Path, clip: bytes
) -> None:
    file = tmp_path / "clip.mp4"
    await run(live, "generate", str(PORTRAIT), PROMPT, "-o", str(file))
    made = await run(live, "show", str(file))
    assert made.exit == 0
    told = dict(re.findall("(.+?): +(.+)", made.out))
    assert (told["made by"], told["marks"]) == (
        f"MiniMax S2V-01 through {urlsplit(live['S2V_BASE_URL']).netloc}",
        "XMP",
    )
    assert told["source"].endswith("/trainedAlgorithmicMedia")
    assert told["video"] == "64 × 36, 0.4 s"
    assert told["bytes"] == "those that were downloaded here, with our mark"
    assert not {"scene", "improved"} & told.keys()
    assert not any(secret in made.out for secret in ("s2v_", KEY))
    file.write_bytes(clip)
    assert "those that were downloaded here\n" in (await run(live, "show", str(file))).out
    file.write_bytes(clip + b"\0\0\0\x08free")
    assert "of no clip that is known here\n" in (await run(live, "show", str(file))).out
    none = await run(live, "show", str(PORTRAIT))
    assert (none.exit, none.out) == (2, "")
    assert none.err.startswith("astronaut.png is no whole MP4: ")


async def test_clips_are_joined_to_a_reel_in_the_order_of_their_tickets(
    live: dict[str, str], tmp_path: Path, clip: bytes
) -> None:
    for prompt in ("She nods.", "She waves."):
        await run(live, "generate", str(PORTRAIT), prompt)
    tickets = re.findall(r"^s2v_\S+", (await run(live, "jobs")).out, re.MULTILINE)
    file = tmp_path / "reel.mp4"
    joined = await run(live, "join", *tickets, "-o", str(file))
    assert (joined.exit, joined.out, joined.err) == (0, f"{file}\n", "")
    assert describe(file) == Clip(width=64, height=36, seconds=0.8, frames=20)
    shown = await run(live, "show", str(file))
    assert "MiniMax S2V-01 through" in shown.out
    assert "of no clip that is known here" in shown.out
    assert not any(ticket.encode() in file.read_bytes() for ticket in tickets)
    one = await run(live, "join", tickets[0], "-o", str(file))
    assert (one.exit, one.out) == (2, "")
    assert one.err.startswith("A reel has 2 to 6 clips.")
    unknown = await run(live, "join", tickets[0], "s2v_nobody", "-o", str(file))
    assert unknown.exit == 2


@pytest.fixture
def aside(tmp_path: Path) -> str:
    """A portrait that lies on its side."""
    with Image.open(PORTRAIT) as image:
        image.rotate(90, expand=True).save(tmp_path / "aside.png")
    return str(tmp_path / "aside.png")


async def test_what_is_said_of_a_photo_comes_before_it_is_paid(
    live: dict[str, str], service: Service, aside: str
) -> None:
    strict = await run(live, "generate", aside, PROMPT, "--strict")
    assert (strict.exit, strict.out) == (2, "")
    assert strict.err.splitlines() == [
        "The photo lies on its side: turn it.",
        "`--turn 90` turns it.",
        "There is a warning about the photo. Mend it, or leave out `--strict`.",
    ]
    assert service.calls("submit") == []
    warned = await run(live, "generate", aside, PROMPT)
    assert (warned.exit, warned.err.splitlines()[0]) == (0, "The photo lies on its side: turn it.")
    mended = await run(live, "generate", aside, "She nods.", "--turn", "90", "--crop", "fit", "--strict")
    assert (mended.exit, mended.err) == (0, "")
    assert len(service.calls("submit")) == 2


async def test_the_simulator_can_be_chosen_in_spite_of_a_key(live: dict[str, str], service: Service) -> None:
    assert (await run(live, "generate", str(PORTRAIT), PROMPT, "--service", "simulator")).exit == 0
    assert service.requests == []


async def test_a_terminal_sees_each_stage_as_it_comes(live: dict[str, str], service: Service) -> None:
    service.query = [task("Queueing")]
    terminal, end = pty.openpty()
    os.set_blocking(terminal, False)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "s2v_core", "generate", str(PORTRAIT), PROMPT,
        env=live, stdout=asyncio.subprocess.PIPE, stderr=end,
    )  # fmt: skip
    os.close(end)
    shown = b""

    def shows(words: str) -> bool:
        nonlocal shown
        with suppress(OSError):
            shown += os.read(terminal, 100_000)
        return words.encode() in shown

    try:
        # A busy machine may leave out a second.
        seconds = [f"Queue (Queueing) 0:{second:02}" for second in range(1, 60)]
        await until(lambda: any(map(shows, seconds)), "it waits in the queue, and the clock goes on")
        service.query = [task("Processing")]
        await until(lambda: shows("Render (Processing)"), "it renders")
        service.query = [task("Success", file_id=FILE)]
        await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
        os.close(terminal)
    assert process.returncode == 0


async def test_a_link_is_passed_on_with_a_word_that_it_cannot_be_checked(
    live: dict[str, str], service: Service
) -> None:
    ended = await run(live, "generate", LINK, PROMPT)
    assert ended.exit == 0
    assert "cannot be checked before it costs" in ended.err
    assert service.calls("submit")[0].json["subject_reference"][0]["image"] == [LINK]


async def test_the_terminal_speaks_the_language_of_its_environment(live: dict[str, str], service: Service) -> None:
    service.submit = [gateway(-10001, 401)]
    english = await run(live, "generate", LINK, PROMPT)
    japanese = await run(live | {"LC_ALL": "ja_JP.UTF-8"}, "generate", LINK, f"{PROMPT} Again.")
    assert english.exit == japanese.exit == 3
    assert "Nothing was charged." in english.err
    with read_in("ja"):
        assert Charge.NONE.sentence() in japanese.err
    assert "charged" not in japanese.err
    assert "保存先" in (await run(live | {"LC_ALL": "ja_JP.UTF-8"}, "generate", "--help")).out


INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.mark.parametrize("signals", [(INT, INT), (HUP, TERM)], ids=["Ctrl-C twice", "hang-up, then TERM"])
async def test_stopped_while_it_pays_the_answer_is_waited_for(
    signals: tuple[signal.Signals, ...], live: dict[str, str], service: Service
) -> None:
    service.submit, service.query = [Answer(good(task_id=TASK).body, stall=1.5)], [task("Processing")]
    ended = await interrupted(live, service, *signals)
    assert ended.exit == 6
    assert f"It is paid. Task {TASK}. Ticket s2v_" in ended.err
    assert ended.err.count("Stopping. A payment that was begun gets up to 8 seconds") == len(signals)
    assert "Traceback" not in ended.err
    assert len(service.calls("submit")) == 1


async def test_stopped_while_it_waits_nothing_is_sent(live: dict[str, str], service: Service, tmp_path: Path) -> None:
    await finished(live)
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as database, database:
        # As many as render at once with one key.
        database.execute(
            "UPDATE jobs SET state = 'rendering', request = '', leased_until = '2100-01-01 00:00:00.000000'"
        )
        database.execute("CREATE TABLE more AS SELECT * FROM jobs")
        for number in range(2):
            database.execute("UPDATE more SET ticket = ?, request = ?", (f"s2v_{number}", f"{number}"))
            database.execute("INSERT INTO jobs SELECT * FROM more")

    def waits() -> object:
        with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as database, database:
            return database.execute("SELECT * FROM jobs WHERE state = 'queued' AND reason != ''").fetchone()

    ended = await interrupted(live, service, INT, INT, during=waits)
    assert ended.exit == 3
    assert "before anything was sent. Nothing was charged. Ticket s2v_" in ended.err
    assert "Traceback" not in ended.err
    assert len(service.calls("submit")) == 1


async def test_a_killed_command_is_resumed_by_its_ticket_for_one_payment(
    live: dict[str, str], service: Service, clip: bytes, tmp_path: Path
) -> None:
    good, service.query = service.query, [task("Processing")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "s2v_core", "generate", str(PORTRAIT), PROMPT, env=live
    )
    await until(lambda: service.calls("query"), "it renders")
    process.kill()
    await process.wait()
    listed = await run(live, "jobs")
    (line,) = listed.out.splitlines()
    ticket = line.split()[0]
    assert "rendering" in line
    assert "spent" in line
    assert PROMPT in line
    service.query = good
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as database, database:
        # The dead process would hold it for its lease.
        database.execute("UPDATE jobs SET leased_until = '2000-01-01 00:00:00.000000'")
    ended = await run(live, "fetch", ticket, "-o", str(tmp_path / "clip.mp4"))
    assert (ended.exit, ended.err) == (0, "")
    assert without(tmp_path / "clip.mp4") == clip
    assert len(service.calls("submit")) == 1
    wrong = await run(live, "fetch", ticket + "x")
    assert (wrong.exit, wrong.out) == (2, "")
    assert "no such ticket" in wrong.err


async def test_jobs_shows_the_newest_50_and_on_request_all(
    live: dict[str, str], service: Service, tmp_path: Path
) -> None:
    ticket = await finished(live)
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as database, database:
        database.execute("CREATE TABLE more AS SELECT * FROM jobs")
        for number in range(60):
            database.execute(
                "UPDATE more SET ticket = ?, queued_at = ?", (f"s2v_{number}", f"2020-01-01 00:00:{number:02}.000000")
            )
            database.execute("INSERT INTO jobs SELECT * FROM more")
    shown = [line.split()[0] for line in (await run(live, "jobs")).out.splitlines()]
    assert shown == [ticket, *(f"s2v_{number}" for number in range(59, 10, -1))]
    assert len((await run(live, "jobs", "--all")).out.splitlines()) == 61


async def test_a_path_that_cannot_be_encoded_is_escaped(live: dict[str, str], service: Service, tmp_path: Path) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    clip = tmp_path / "clïp\udcff.mp4"
    ended = await run(live, "generate", str(PORTRAIT), PROMPT, "-o", str(clip), stdout=out)
    assert (ended.exit, ended.err) == (0, "")
    assert out.buffer.getvalue() == f"{tmp_path}/cl\\xefp\\udcff.mp4\n".encode()  # type: ignore[attr-defined]
    assert clip.is_file()


@pytest.mark.parametrize("broken", ["full", "closed pipe"])
async def test_an_output_that_breaks_fails_nothing_and_leaves_the_ticket(
    broken: str, live: dict[str, str], service: Service, tmp_path: Path
) -> None:
    ticket = await finished(live)
    (clip,) = (tmp_path / "data" / "clips").glob("*.mp4")
    for arguments, exit_code, says in (
        (["fetch", ticket], 0, f"The clip is {clip}. Ticket {ticket}.\n"),
        (["jobs"], 2 if broken == "full" else 0, "(No space left on device).\n" if broken == "full" else ""),
        (["--help"], 0, ""),
    ):
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "w") if broken == "full" else os.fdopen(writer, "w") as out:
            ended = await run(live, *arguments, stdout=out)
        assert ended.exit == exit_code
        assert ended.err.endswith(says)
        assert "Traceback" not in ended.err
        if broken == "full":
            os.close(writer)


async def test_a_closed_pipe_and_closed_streams_are_an_end(live: dict[str, str], service: Service) -> None:
    ticket = await finished(live)
    command = f"{sys.executable} -m s2v_core"
    said = {}
    for line in (
        f"({command} jobs; echo $? >&2) | true",
        f"{command} fetch {ticket} >&-; echo $? >&2",
        f"{command} fetch {ticket}x >&2 2>&-; echo $? >&2",
    ):
        shell = await asyncio.create_subprocess_shell(line, env=live, stderr=asyncio.subprocess.PIPE)
        said[line] = (await shell.communicate())[1].decode()
    assert list(said.values()) == ["0\n", "0\n", "2\n"]


@pytest.mark.parametrize("length", [246, 255])
async def test_a_clip_may_have_the_longest_name_there_is(
    length: int, live: dict[str, str], service: Service, clip: bytes, tmp_path: Path
) -> None:
    output = tmp_path / ("ü" * ((length - 4) // 2) + "x" * (length % 2) + ".mp4")
    ended = await run(live, "generate", str(PORTRAIT), PROMPT, "-o", str(output))
    assert (ended.exit, ended.err) == (0, "")
    assert without(output) == clip


async def test_a_clip_is_written_to_a_link_a_pipe_or_a_device_and_not_in_its_place(
    live: dict[str, str], service: Service, clip: bytes, tmp_path: Path
) -> None:
    link, dangling, pipe = (tmp_path / name for name in ("link.mp4", "dangling.mp4", "pipe"))
    (tmp_path / "there.mp4").write_bytes(b"before")
    link.symlink_to("there.mp4")
    dangling.symlink_to("new.mp4")
    os.mkfifo(pipe)
    ticket = await finished(live)
    for output in (link, dangling, Path("/dev/null")):
        assert (await run(live, "fetch", ticket, "-o", str(output))).exit == 0
    assert (link.is_symlink(), dangling.is_symlink()) == (True, True)
    assert without(tmp_path / "there.mp4") == without(tmp_path / "new.mp4") == clip
    assert Path("/dev/null").is_char_device()
    reading = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
    assert (await run(live, "fetch", ticket, "-o", str(pipe))).exit == 0
    assert (await reading).startswith(clip)
    assert pipe.is_fifo()


async def test_a_clip_that_cannot_be_copied_is_named_where_it_is(
    live: dict[str, str], service: Service, clip: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "goes"
    folder.mkdir()

    def go() -> Answer:
        folder.rmdir()
        return task("Success", file_id=FILE)

    service.query = [task("Processing"), go]  # type: ignore[list-item]
    ended = await run(live, "generate", str(PORTRAIT), PROMPT, "-o", str(folder / "clip.mp4"))
    kept = Path(ended.out.strip())
    assert (ended.exit, without(kept)) == (0, clip)
    assert f"It could not be written as {folder}/clip.mp4 (No such file or directory). The clip is {kept}." in ended.err
    ticket = (await run(live, "jobs")).out.split()[0]
    full = await run(live, "fetch", ticket, "-o", "/dev/full")
    assert (full.exit, full.out) == (0, f"{kept}\n")
    assert f"(No space left on device). The clip is {kept}. Ticket {ticket}." in full.err


async def test_a_clip_whose_file_is_gone_is_fetched_again_and_a_deleted_one_is_no_clip(
    live: dict[str, str], service: Service, clip: bytes, tmp_path: Path
) -> None:
    ticket = await finished(live)
    (kept,) = (tmp_path / "data" / "clips").glob("*.mp4")
    kept.unlink()
    ended = await run(live, "fetch", ticket)
    assert (ended.exit, ended.err) == (0, "")
    assert without(Path(ended.out.strip())) == clip
    assert len(service.calls("submit")) == 1
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as database, database:
        database.execute("UPDATE jobs SET photo = '', clip = '', prompt = ''")
    ended = await run(live, "fetch", ticket)
    assert (ended.exit, ended.out, ended.err) == (2, "", f"Its clip was deleted here. Ticket {ticket}.\n")


async def pin(environment: dict[str, str], examples: Path, *arguments: str) -> Run:
    return await run(environment, "pin", *arguments, "--folder", str(examples))


async def test_a_simulated_clip_becomes_an_example_named_by_its_scene(
    environment: dict[str, str], tmp_path: Path
) -> None:
    examples, ticket = tmp_path / "examples", await finished(environment)
    ended = await pin(environment, examples, ticket)
    assert (ended.exit, ended.err) == (0, "")
    folder = examples / slug(PROMPT)
    assert ended.out == f"{folder}\n"
    facts = json.loads((folder / "example.json").read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts.pop("date"))
    assert facts == {"scene": PROMPT, "made_by": "Simulator", "simulated": True, "seconds": 6.0}
    assert describe(folder / "clip.mp4") == Clip(width=640, height=360, seconds=6.0, frames=150)
    assert (folder / "clip.mp4").stat().st_size <= 400_000


async def test_an_example_of_a_clip_made_with_a_key_names_provider_and_model(
    live: dict[str, str], service: Service, tmp_path: Path
) -> None:
    examples, ticket = tmp_path / "examples", await finished(live)
    ended = await pin(live, examples, ticket, "--name", "sea-wind")
    assert (ended.exit, ended.out, ended.err) == (0, f"{examples / 'sea-wind'}\n", "")
    facts = json.loads((examples / "sea-wind" / "example.json").read_text())
    host = urlsplit(service.base_url).netloc
    assert (facts["made_by"], facts["simulated"], facts["seconds"]) == (f"{host} · S2V-01", False, 0.4)


async def test_an_example_has_a_plain_name_of_its_own(live: dict[str, str], tmp_path: Path) -> None:
    examples, ticket = tmp_path / "examples", await finished(live)
    for name in ("Sea", "../sea", "sea wind", "sea--wind", "-sea", "", "x" * 61, "海"):
        ended = await pin(live, examples, ticket, f"--name={name}")
        assert (ended.exit, ended.out) == (2, "")
        assert "choose one with --name" in ended.err
    assert not examples.exists()
    assert (await pin(live, examples, ticket, "--name", "sea")).exit == 0
    before = (examples / "sea" / "example.json").read_bytes()
    ended = await pin(live, examples, ticket, "--name", "sea")
    assert (ended.exit, ended.out) == (2, "")
    assert ended.err == "There is an example named sea already: choose another name with --name.\n"
    assert [path.name for path in examples.iterdir()] == ["sea"]
    assert (examples / "sea" / "example.json").read_bytes() == before


UNPINNED: dict[str, tuple[dict[str, list[Answer]], int, str]] = {
    "refused": ({"submit": [code(1026)]}, 3, "Nothing was charged"),
    "failed": ({"query": [task("Fail")]}, 4, "may charge"),
    "unknown": ({"submit": [Answer(reset=True)]}, 5, "may have been charged"),
    "under way": ({"query": [task("Queueing"), code(1004, status="")]}, 6, f"Task {TASK}"),
}


@pytest.mark.parametrize(("answers", "exit_code", "says"), UNPINNED.values(), ids=UNPINNED)
async def test_a_job_without_a_clip_is_no_example_and_says_how_it_stands(
    answers: dict[str, list[Answer]], exit_code: int, says: str, live: dict[str, str], service: Service, tmp_path: Path
) -> None:
    for call, given in answers.items():
        setattr(service, call, list(given))
    assert (await run(live, "generate", str(PORTRAIT), PROMPT)).exit == exit_code
    ticket = (await run(live, "jobs")).out.split()[0]
    ended = await pin(live, tmp_path / "examples", ticket)
    assert (ended.exit, ended.out) == (exit_code, "")
    assert says in ended.err
    assert ticket in ended.err
    assert not (tmp_path / "examples").exists()


async def test_what_is_no_longer_here_is_no_example(live: dict[str, str], tmp_path: Path) -> None:
    examples, data = tmp_path / "examples", tmp_path / "data"
    unknown = await pin(live, examples, "s2v_unknown")
    assert (unknown.exit, unknown.out, unknown.err) == (2, "", f"{UnknownTicket()}\n")
    ticket = await finished(live)
    (photo,), (clip,) = (data / "photos").glob("*.jpg"), (data / "clips").glob("*.mp4")
    for path, says in ((photo, "portrait, which is no longer here"), (clip, "clip's file is not here: `fetch`")):
        path.rename(tmp_path / "aside")
        ended = await pin(live, examples, ticket)
        assert (ended.exit, ended.out) == (2, "")
        assert says in ended.err
        (tmp_path / "aside").rename(path)
    clip.write_bytes(b"no clip")
    ended = await pin(live, examples, ticket)
    assert (ended.exit, ended.err) == (2, f"No example can be made of this clip. Ticket {ticket}.\n")
    with closing(sqlite3.connect(data / "ledger.db")) as database, database:
        database.execute("UPDATE jobs SET photo = '', clip = '', prompt = ''")
    ended = await pin(live, examples, ticket)
    assert (ended.exit, ended.out, ended.err) == (2, "", f"Its clip was deleted here. Ticket {ticket}.\n")
    assert not examples.exists()


async def test_a_portrait_that_is_a_link_makes_no_example(live: dict[str, str], tmp_path: Path) -> None:
    assert (await run(live, "generate", LINK, PROMPT)).exit == 0
    ticket = (await run(live, "jobs")).out.split()[0]
    ended = await pin(live, tmp_path / "examples", ticket)
    assert (ended.exit, ended.out) == (2, "")
    assert "a link, which is never opened" in ended.err


def test_each_error_has_an_exit_code() -> None:
    kinds, found = [S2VError], []
    while kinds:
        kinds += (below := kinds.pop().__subclasses__())
        found += below
    assert {kind for kind in found if not issubclass(kind, tuple(EXITS))} == set()


# It waits as long as a payment may.
@pytest.mark.long
async def test_stopped_while_it_pays_and_without_an_answer_the_charge_is_unknown(
    live: dict[str, str], service: Service
) -> None:
    service.submit = [Answer(stall=30.0)]
    ended = await interrupted(live, service, INT)
    assert ended.exit == 5
    assert "may have been charged" in ended.err


async def test_stopped_while_it_pays_and_with_no_ledger_to_ask_the_charge_is_unknown(
    live: dict[str, str], service: Service, tmp_path: Path
) -> None:
    def lose_the_ledger() -> Answer:
        ledger = tmp_path / "data" / "ledger.db"
        ledger.rename(tmp_path / "lost.db")
        ledger.write_bytes(bytes(4096))
        return Answer(good(task_id=TASK).body, stall=3.0)

    service.submit, service.query = [lose_the_ledger], [task("Processing")]  # type: ignore[list-item]
    ended = await interrupted(live, service, INT)
    assert ended.exit == 5
    assert "The ledger cannot be read now" in ended.err
    assert "It may have been charged" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("answer", "exit_code", "says"),
    [
        (code(2013), 0, "The key is accepted."),
        (gateway(-10001, 401), 3, "does not accept this key"),
        (code(2049), 3, "does not accept this key"),
        (Answer(status=502), 1, "stays open"),
    ],
)
async def test_check_asks_for_free(
    answer: Answer, exit_code: int, says: str, live: dict[str, str], service: Service
) -> None:
    service.query = [answer]
    ended = await run(live, "check")
    assert ended.exit == exit_code
    assert says in ended.out + ended.err
    assert service.base_url in ended.out
    assert [request.method for request in service.requests] == ["GET"]


@pytest.mark.long
async def test_a_clip_that_could_not_be_downloaded_is_told_before_it_is_paid(environment: dict[str, str]) -> None:
    # This machine, and no loopback address by what is written; nobody listens there.
    live = environment | {"S2V_API_KEY": KEY, "S2V_BASE_URL": "https://0.0.0.0:9/v1"}
    ended = await run(live, "generate", str(PORTRAIT), PROMPT)
    assert ended.exit == 3
    assert "is not public: a clip from such an address is paid and then refused" in ended.err


async def test_check_says_what_a_key_may_have_under_way(live: dict[str, str], service: Service) -> None:
    service.query = [code(2013)]
    said = "With one key, at most 7 clips render at once, and 11 are sent a minute.\n"
    assert said in (await run(live | {"S2V_CONCURRENT": "7", "S2V_PER_MINUTE": "11"}, "check")).out


async def test_check_without_a_key_names_the_simulator(environment: dict[str, str]) -> None:
    ended = await run(environment, "check")
    assert (ended.exit, ended.err) == (0, "")
    assert ended.out.startswith("Simulator: free")


async def test_check_says_what_is_left_today_and_how_each_process_does(
    live: dict[str, str], service: Service, tmp_path: Path
) -> None:
    service.query = [code(2013)]
    ended = await run(live, "check")
    assert "left today" not in ended.out
    ledger = Ledger(Path(live["S2V_DATA_DIR"]) / "ledger.db")
    said = "20 of 20 clips are left today.\nNo process is at work on this ledger.\nThe key is accepted.\n"
    assert (await run(live, "check")).out.endswith(said)
    ledger.renew("a1b2", [], {"heartbeat": (2.0, ""), "sweep": (900.0, "OSError")})
    ledger.close()
    assert "Process a1b2: heartbeat" in (ended := await run(live, "check")).out
    assert "sweep 9" in ended.out
    assert "s ago (OSError)." in ended.out


@pytest.mark.parametrize("key", ["", KEY], ids=["without a key", "with a key"])
async def test_check_says_that_the_ledger_is_beside_a_network_mount(
    key: str, live: dict[str, str], service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.query = [code(2013)]
    (mountinfo := tmp_path / "mountinfo").write_text(f"36 27 0:40 / {tmp_path / 'data'} rw - fuse.hf-mount bucket rw")
    monkeypatch.setattr(Settings, "from_environment", partial(Settings.from_environment, mountinfo=mountinfo))
    beside = live | {"S2V_API_KEY": key, "HOME": str(tmp_path / "home")}
    said = "is on a network mount (fuse.hf-mount), where SQLite is not safe, so the ledger is"
    assert f"{tmp_path / 'data'} {said} {tmp_path / 'home'}" in (await run(beside, "check")).out
    assert said not in (await run(beside | {"S2V_DATABASE_URL": f"sqlite:///{tmp_path}/a.db"}, "check")).out
    assert (await run(beside | {"S2V_API_KEY": ""}, "generate", str(PORTRAIT), PROMPT)).exit == 0
    assert list((tmp_path / "home").rglob("ledger.db"))
    ended = await run(beside, "check")
    assert said in ended.out
    assert "No process is at work on this ledger." in ended.out


async def test_help_does_not_load_gradio() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "importtime", "-m", "s2v_core", "--help",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert b"generate" in out
    assert b"httpx" in err
    assert b"gradio" not in err


async def test_a_port_that_is_taken_is_told(environment: dict[str, str], service: Service) -> None:
    taken = service.origin.rpartition(":")[2]
    for port, says in (
        (taken, f"{taken} cannot be listened on (Address already in use)."),
        ("70000", "from 1 to 65535"),
    ):
        ended = await run(environment, "simulate", "--port", port)
        assert (ended.exit, ended.out) == (2, "")
        assert f"--port: {says}" in ended.err or says in ended.err


async def test_the_simulator_over_http_serves_the_terminal_itself(environment: dict[str, str], tmp_path: Path) -> None:
    port = 20_000 + os.getpid() % 20_000
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "s2v_core", "simulate", "--port", str(port),
        env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert server.stdout
        lines = [await server.stdout.readline(), await server.stdout.readline()]
        assert lines[0] == f"S2V_BASE_URL=http://127.0.0.1:{port}/minimaxi/v1\n".encode()
        await until(partial(_listens, port), "the simulator listens")
        asked = ["generate", str(PORTRAIT), PROMPT]
        for prefix, key, arguments, exit_code in (
            ("/minimaxi/v1", KEY, asked, 0),
            ("/minimaxi/v1", "wrong", asked, 3),
            ("/v1", "wrong", asked, 3),
            ("/v1", KEY, ["check"], 0),
        ):
            live = environment | {"S2V_API_KEY": key, "S2V_BASE_URL": f"http://127.0.0.1:{port}{prefix}"}
            live["S2V_DATA_DIR"] = str(tmp_path / "another")
            assert (await run(live, *arguments)).exit == exit_code
    finally:
        server.terminate()
        await server.wait()


async def _listens(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False
