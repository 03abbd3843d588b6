"""Everything that one machine has can be taken into the database that many share."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from s2v_core import Photo
from s2v_core.errors import InputRejected
from s2v_core.jobs.files import FolderFiles
from s2v_core.jobs.ledger import Ledger
from s2v_core.jobs.model import State
from s2v_core.jobs.move import move

from ..support.ledgers import LedgerDriver
from ..support.service import PROMPT, Service, task
from ..support.studios import end, studio_at


def moved(folder: Path, url: str) -> str:
    """What `python -m s2v_core move` says."""
    environment = os.environ | {"S2V_DATA_DIR": str(folder), "S2V_DATABASE_URL": url}
    command = [sys.executable, "-m", "s2v_core", "move"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


async def test_jobs_and_their_files_are_moved_and_go_on(
    shared_url: str, service: Service, photo: Photo, tmp_path: Path
) -> None:
    async with studio_at(service, tmp_path / "one") as studio:
        done = await end(studio, await studio.submit(photo, PROMPT))
        clip = studio.store.path(done.clip).read_bytes()
        service.query = [task("Processing")]
        rendering = await studio.submit(photo, "She waits.")
        while (await studio.job(rendering.ticket)).state is not State.RENDERING:
            await end(studio, done)
    assert "2 jobs were copied. The old ledger" in moved(tmp_path / "one", shared_url)
    # A second time there is nothing to do, and nothing goes back to what it was.
    assert moved(tmp_path / "one", shared_url).startswith("0 jobs were copied.")
    service.query = [task("Success", file_id="1")]
    async with studio_at(service, tmp_path / "other", database_url=shared_url) as studio:
        found = await studio.job(done.ticket)
        assert studio.store.has(found.clip)
        assert (found.state, studio.store.path(found.clip).read_bytes()) == (State.DONE, clip)
        assert (await studio.pictures(found))["reference"]
        # With the same pepper its key is known, and it is driven on for the same payment.
        assert (await end(studio, rendering)).state is State.DONE
    assert len(service.calls("submit")) == 2
    assert moved(tmp_path / "one", shared_url).startswith("0 jobs were copied.")


def test_a_ledger_that_is_in_use_or_another_is_not_moved(shared_url: str, tmp_path: Path) -> None:
    with (
        closing(LedgerDriver(f"sqlite:///{tmp_path / 'ledger.db'}")) as here,
        closing(LedgerDriver(shared_url)) as there,
    ):
        here.enter("s2v_a")
        with pytest.raises(InputRejected, match="stop it first"):
            move(here.ledger.database, tmp_path, there.ledger.database)
        here.ledger.release("a")
        there.enter("s2v_theirs")
        there.ledger.release("a")
        with pytest.raises(InputRejected, match="of another ledger"):
            move(here.ledger.database, tmp_path, there.ledger.database)
        with pytest.raises(InputRejected, match="PostgreSQL"):
            move(here.ledger.database, tmp_path, here.ledger.database)


def test_a_file_that_is_not_there_is_counted(shared_url: str, tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    with closing(Ledger(shared_url)) as there, closing(LedgerDriver(f"sqlite:///{tmp_path / 'ledger.db'}")) as here:
        files.make(here.ledger.identity, here.ledger.unnamed)
        files.keep("photos/b.jpg", b"a photo")
        for name in ("a", "b"):
            here.enter(f"s2v_{name}", photo=f"photos/{name}.jpg")
        here.ledger.release("a")
        assert move(here.ledger.database, tmp_path, there.database) == (2, 1)
