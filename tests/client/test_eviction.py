"""The oldest files go where a folder has too much."""

import os
from pathlib import Path

from s2v_core.eviction import evict


def test_the_oldest_go_and_what_arrives_stays(tmp_path: Path) -> None:
    for hour, name in enumerate(("arriving", "a/old", "a/newer", "b/new")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(10_000))
        os.utime(tmp_path / name, (3600 * hour,) * 2)
    evict(tmp_path, 60_000, spare={"arriving"}.__contains__)
    assert (tmp_path / "a" / "old").exists()
    evict(tmp_path, 40_000, spare={"arriving"}.__contains__)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["arriving", "new", "newer"]
    evict(tmp_path, -1, spare={"arriving"}.__contains__)
    assert [path.name for path in tmp_path.rglob("*")] == ["arriving"]
