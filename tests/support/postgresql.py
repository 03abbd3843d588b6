"""A PostgreSQL of the tests' own, where the programs of one are installed: started by whoever needs it first."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from .ports import free_ports

# A server that is there already, and may have databases made in it; or the folder of one that can be started.
GIVEN = os.environ.get("S2V_TEST_DATABASE_URL", "")
FOLDER = "S2V_TEST_POSTGRESQL"


def programs() -> Path | None:
    """Where PostgreSQL's programs lie: in the path, or in Debian's folder of the newest version."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    return installed[-1].parent if installed else None


IS_HERE = bool(GIVEN or programs())


def _run(*command: str | Path) -> None:
    # It refuses to run as root.
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    subprocess.run([*user, *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd="/")


def start(folder: Path, *, port: int = 0) -> str:
    """The address of a server whose data lie in `folder`, which is made if it is empty."""
    at, data = programs(), folder / "data"
    assert at, "no PostgreSQL is installed"
    if not data.exists():
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        _run(at / "initdb", "--pgdata", data, "--username", "s2v", "--auth", "trust", "--encoding", "UTF8", "--no-sync")
    port = port or free_ports(1)[0]
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c max_connections=300"
    _run(at / "pg_ctl", "start", "--pgdata", data, "--wait", "--silent", "--log", folder / "log", "-o", options)
    return f"postgresql://s2v@127.0.0.1:{port}/postgres"


def stop(folder: Path, mode: str = "fast") -> None:
    if (at := programs()) and (folder / "data" / "postmaster.pid").exists():
        _run(at / "pg_ctl", "stop", "--pgdata", folder / "data", "--mode", mode, "--wait", "--silent")


def server() -> str:
    """The address of the server that all tests share."""
    if GIVEN:
        return GIVEN
    folder = Path(os.environ[FOLDER])
    with (folder / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not (url := lock.read()):
            url = start(folder)
            lock.write(url)
    return url


@contextmanager
def cluster() -> Iterator[None]:
    """A server for all that is done meanwhile, here and in child processes, if anybody asks for one."""
    folder = os.environ[FOLDER] = tempfile.mkdtemp(prefix="s2v-postgresql-")
    try:
        yield
    finally:
        del os.environ[FOLDER]
        stop(Path(folder), "immediate")
        shutil.rmtree(folder)


@contextmanager
def database() -> Iterator[str]:
    """The address of an empty database, which goes with all that is connected to it."""
    engine = sa.create_engine(
        sa.make_url(server()).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    name = f"s2v_{uuid.uuid4().hex}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield sa.make_url(server()).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
