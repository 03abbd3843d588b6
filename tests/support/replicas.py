"""Several processes of the page on one database, behind nginx as the README has it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from . import postgresql
from .forks import ROOT
from .pages import served
from .ports import free_ports

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
    each: list[str]
    folders: list[Path]
    database_url: str

    def states(self) -> list[str]:
        """Of all jobs."""
        address = sa.make_url(self.database_url).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(address, poolclass=sa.NullPool)
        with engine.connect() as connection:
            return list(connection.scalars(sa.text("SELECT state FROM jobs")))

    def kill(self, number: int) -> None:
        os.kill(int((self.folders[number] / "pid").read_text()), 9)


@contextmanager
def replicas(folder: Path, count: int, **environment: str) -> Iterator[Replicas]:
    if not (_NGINX and postgresql.IS_HERE):
        assert os.environ.get("CI") != "true"
        pytest.skip("there is no nginx, or no PostgreSQL")
    with ExitStack() as stack:
        port, *ports = free_ports(count + 1)
        database_url = stack.enter_context(postgresql.database())
        folders = [folder / str(number) for number in range(count)]
        settings = {"S2V_DATABASE_URL": database_url, "S2V_TRUSTED_HOPS": "1", **environment}
        each = []
        for own, place in zip(ports, folders, strict=True):
            place.mkdir()
            each.append(stack.enter_context(served(place, port=own, kill=True, **settings)))
        lines = _BLOCK.findall((ROOT / "README.md").read_text())[0].replace("listen 80;", f"listen 127.0.0.1:{port};")
        servers = "".join(f"server 127.0.0.1:{own};" for own in ports)
        lines = re.sub(r"server 127\.0\.0\.1:7861;\s+server 127\.0\.0\.1:7862;", servers, lines)
        (folder / "nginx.conf").write_text(_CONFIGURATION.format(folder=folder, lines=lines))
        nginx = subprocess.Popen([str(_NGINX), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")])
        stack.callback(nginx.wait, 10)
        stack.callback(nginx.terminate)
        yield Replicas(f"http://127.0.0.1:{port}/", each, folders, database_url)
