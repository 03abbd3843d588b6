"""Several processes of the page on one database, behind nginx as the README has it."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from s2v_core.jobs.model import UNDER_WAY

from . import postgresql
from .forks import ROOT
from .pages import served
from .ports import free_ports
from .service import FILE, TASK, Service, good, task
from .waiting import wait_until

_NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
_BLOCK = re.compile(r"^ +```nginx\n(.*?)```", re.DOTALL | re.MULTILINE)
_CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {lines}
}}
"""


@dataclass
class Replicas:
    """The address of nginx, and of each process behind it, with its folder; and of their database."""

    url: str
    ports: list[int]
    folders: list[Path]
    environment: dict[str, str]
    stack: ExitStack

    def __post_init__(self) -> None:
        self.each = [f"http://127.0.0.1:{port}/" for port in self.ports]
        address = sa.make_url(self.environment["S2V_DATABASE_URL"]).set(drivername="postgresql+psycopg")
        self._engine = sa.create_engine(address, poolclass=sa.NullPool)
        for number in range(len(self.ports)):
            self.start(number)

    def states(self) -> list[str]:
        """Of all jobs."""
        with self._engine.connect() as connection:
            return list(connection.scalars(sa.text("SELECT state FROM jobs")))

    def held(self, ticket: str) -> tuple[str, str]:
        """The state of a job, and who drives it; of one that is not entered yet, nothing."""
        asked = sa.text("SELECT state, worker FROM jobs WHERE ticket = :ticket")
        with self._engine.connect() as connection:
            found = connection.execute(asked, {"ticket": ticket}).first()
        return (str(found[0]), str(found[1])) if found else ("", "")

    def start(self, number: int) -> None:
        self.folders[number].mkdir(exist_ok=True)
        self.stack.enter_context(served(self.folders[number], port=self.ports[number], kill=True, **self.environment))

    def kill(self, number: int) -> None:
        os.kill(int((self.folders[number] / "pid").read_text()), 9)


def is_here() -> bool:
    """Whether there is all that it takes."""
    return bool(_NGINX and postgresql.IS_HERE)


@contextmanager
def replicas(folder: Path, count: int, **environment: str) -> Iterator[Replicas]:
    with ExitStack() as stack:
        port, *ports = free_ports(count + 1)
        database_url = stack.enter_context(postgresql.database())
        folders = [folder / str(number) for number in range(count)]
        settings = {"S2V_DATABASE_URL": database_url, "S2V_TRUSTED_HOPS": "1", **environment}
        page = Replicas(f"http://127.0.0.1:{port}/", ports, folders, settings, stack)
        lines = _BLOCK.findall((ROOT / "README.md").read_text())[0].replace("listen 80;", f"listen 127.0.0.1:{port};")
        servers = "".join(f"server 127.0.0.1:{own};" for own in ports)
        lines = re.sub(r"server 127\.0\.0\.1:7861;\s+server 127\.0\.0\.1:7862;", servers, lines)
        (folder / "nginx.conf").write_text(_CONFIGURATION.format(folder=folder, lines=lines))
        nginx = subprocess.Popen([str(_NGINX), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")])
        stack.callback(nginx.wait, 10)
        stack.callback(nginx.terminate)
        yield page


def order(url: str, prompt: str, address: str = "192.0.2.1") -> str:
    """The ticket in the answer to the call that queues it there, from whom the proxy says that it comes."""
    body = {"photo_url": "https://photos.example/face.jpg", "prompt": prompt, "consent": True}
    with _talk(url, headers={"X-Forwarded-For": address}) as http:
        queued = http.post("gradio_api/call/v2/submit", json=body).raise_for_status().json()
        # By then it is in the ledger, or was told that it is not.
        http.get(f"gradio_api/call/submit/{queued['event_id']}").raise_for_status()
        return str(queued["ticket"])


def orders(page: Replicas, prompts: Sequence[str], visitors: int = 20) -> list[str]:
    """Tickets of orders that come at once, to each process in turn, from several visitors."""

    def ask(asked: tuple[int, str]) -> str:
        number, prompt = asked
        return order(page.each[number % len(page.each)], prompt, f"192.0.2.{number % visitors}")

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(ask, enumerate(prompts)))


def status(url: str, ticket: str) -> str:
    """The state of a job, or nothing where its ticket is not known."""
    told = _told(url, "status", ticket)
    return str(told["state"]) if told else ""


def clip_address(url: str, ticket: str) -> str:
    """Where that process serves the clip."""
    return f"{url}gradio_api/file={_told(url, 'clip', ticket)['path']}"


def clip_at(url: str, ticket: str) -> bytes:
    return httpx.get(clip_address(url, ticket), trust_env=False, timeout=120).raise_for_status().content


def takeover(page: Replicas, service: Service, number: int, state: str) -> tuple[str, float]:
    """Kill the process of a job in this `state`: the job's ticket, and the seconds until it is somebody else's.

    A job that may have been paid goes to nobody: it ends. All others render and go on once the service lets them.
    """
    ready, held = task("Success", file_id=FILE), replace(service.file[0], stall=600.0)
    service.query = [ready if state == "fetching" else task("Processing")]
    service.file = [held]
    if state == "queued":
        # There is room for one at the service, and this one has it.
        first = order(page.each[number - 1], f"Before {number}.")
        wait_until(lambda: page.held(first)[0] == "rendering", "the first renders")
    taken = good(task_id=TASK)
    taken.stall = 600.0 if state == "sending" else 0.0
    service.submit = [taken]
    ticket = order(page.each[number], f"{number} waits {state}.")
    wait_until(lambda: page.held(ticket)[0] == state, f"it is {state}")
    if state != "queued":
        wait_until(lambda: service.requests[-1:] and service.requests[-1].path.endswith(_LAST[state]), "it is asked")
    before = page.held(ticket)
    page.kill(number)
    began = time.monotonic()
    wait_until(lambda: page.held(ticket) != before, "another has it")
    seconds = time.monotonic() - began
    service.query, taken.stall, held.stall = [ready], 0.0, 0.0
    wait_until(lambda: not set(page.states()) & set(UNDER_WAY), "all have ended")
    return ticket, seconds


_LAST = {"sending": "/video_generation", "rendering": "/query/video_generation", "fetching": ".mp4"}


def _talk(url: str, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=120, **options)


def _told(url: str, call: str, ticket: str) -> dict[str, Any]:
    """What `call` says of a job; empty where its ticket is not known."""
    with _talk(url) as http:
        asked = http.post(f"gradio_api/call/{call}", json={"data": [ticket]}).json()["event_id"]
        told = http.get(f"gradio_api/call/{call}/{asked}").raise_for_status().text
    return dict(json.loads(told.split("data: ")[1])[0]) if "event: complete" in told else {}
