"""The page as a process: what signals do to a payment that was begun, and what keeps it from starting."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import httpx
import pytest

from s2v_core.network import VARIABLES

from ..support.forks import ROOT
from ..support.ports import free_ports
from ..support.service import KEY, PROMPT, TASK, Answer, Service, good, task
from ..support.waiting import until

pytestmark = pytest.mark.long

ORDER = [None, PROMPT, True, "https://photos.example/face.jpg", True]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (port,) = free_ports(1)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("S2V_", "GRADIO_")) and name.upper() not in VARIABLES
    }
    return kept | {
        "S2V_DATA_DIR": str(tmp_path / "data"),
        "GRADIO_TEMP_DIR": str(tmp_path / "gradio"),
        "GRADIO_SERVER_PORT": str(port),
    }


@asynccontextmanager
async def started(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "app.py", cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.timeout(120)
async def test_the_page_hears_each_signal_and_waits_for_the_payment_that_was_begun(
    environment: dict[str, str], service: Service, tmp_path: Path
) -> None:
    service.submit, service.query = [Answer(good(task_id=TASK).body, stall=2.0)], [task("Processing")]
    live = {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url}
    # A proxy that cannot reach this machine, and a Gradio that would not let go of the main thread.
    around = {"HTTP_PROXY": "http://127.0.0.1:9", "GRADIO_DEBUG": "1"}
    url = f"http://127.0.0.1:{environment['GRADIO_SERVER_PORT']}/gradio_api/call/submit"
    async with started(environment | live | around) as process, httpx.AsyncClient(trust_env=False) as browser:

        async def ordered() -> bool:
            assert process.returncode is None
            with suppress(httpx.TransportError):
                return (await browser.post(url, json={"data": ORDER})).is_success
            return False

        await until(ordered, "the page takes the order")
        await until(lambda: service.calls("submit"), "the payment is on its way")
        said = []
        assert process.stderr
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
            while b"Stopping." not in (line := await process.stderr.readline()):
                said.append(line)
                assert line
        said.append((await process.communicate())[1])
    assert process.returncode == 0
    # Nor was it ended, whatever it hung at.
    for word in (b"Traceback", b"did not stop"):
        assert word not in b"".join(said)
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as database, database:
        assert database.execute("SELECT state, task_id FROM jobs").fetchall() == [("rendering", TASK)]
    assert len(service.calls("submit")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"GRADIO_SERVER_PORT": "canary"},
        {"S2V_API_KEY": KEY, "SSL_CERT_FILE": "/canary"},
    ],
    ids=lambda wrong: " ".join(wrong),
)
async def test_what_keeps_the_page_from_starting_is_named_but_not_shown(
    wrong: dict[str, str], environment: dict[str, str]
) -> None:
    async with started(environment | wrong) as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    assert err.decode().startswith(f"{list(wrong)[-1]}: ")
    assert err.count(b"\n") == 1
    assert b"canary" not in err


@pytest.mark.long
async def test_a_taken_port_ends_the_start_and_the_simulator_needs_no_way_out(
    environment: dict[str, str], service: Service
) -> None:
    no_way_out = {"ALL_PROXY": "socks5://127.0.0.1:1", "SSL_CERT_FILE": "/no/such", "NO_PROXY": "[::1]"}
    taken = {"GRADIO_SERVER_PORT": service.origin.rpartition(":")[2]}
    async with started(environment | no_way_out | taken) as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    without, said = err.decode().splitlines()
    assert without.endswith("The simulator works without it.")
    assert said.startswith("GRADIO_SERVER_PORT: the page cannot be served there; the port is taken")
