"""Network mounts under the data directory: found in Linux's list, and where the ledger lies then."""

import stat
import sys
from pathlib import Path

import pytest

from s2v_core import Settings
from s2v_core.mounts import MOUNTINFO, ledger_folder, mount_of, network_mount

DISK = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


def line(point: object, kind: str, tags: str = "") -> str:
    return f"36 27 0:40 / {point} rw,nosuid{tags} - {kind} source:/a rw,user_id=1000"


def listed(folder: Path, *lines: str) -> Path:
    """A list of mounts with a disk at `/`."""
    mountinfo = folder / "mountinfo"
    mountinfo.write_text("".join(f"{each}\n" for each in (DISK, *lines)))
    return mountinfo


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "mount" / "s2v"
    folder.mkdir(parents=True)
    return folder


def settings_on(data: Path, kind: str, **environment: str) -> Settings:
    """As they are read where the data directory is on a mount of this kind."""
    mountinfo = listed(data.parent.parent, line(data.parent, kind))
    return Settings.from_environment({"S2V_DATA_DIR": str(data)} | environment, mountinfo=mountinfo)


@pytest.mark.parametrize(
    "kind",
    ["fuse", "fuse.hf-mount", "fuse.gcsfuse", "fuse.sshfs", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre"],
)
def test_what_lies_on_another_machine_is_a_network_mount(kind: str, tmp_path: Path) -> None:
    assert network_mount(Path("/data/s2v"), listed(tmp_path, line("/data", kind))) == kind


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "fuseblk", "fusectl", "virtiofs"])
def test_a_disk_of_this_machine_is_none(kind: str, tmp_path: Path) -> None:
    assert network_mount(Path("/data/s2v"), listed(tmp_path, line("/data", kind))) == ""


@pytest.mark.parametrize("kind", ["fuse.fuse-overlayfs", "9p", "overlay"])
def test_a_container_has_its_own_disk_whatever_its_type(kind: str, tmp_path: Path) -> None:
    assert network_mount(Path("/data/s2v"), listed(tmp_path, line("/", kind))) == ""


@pytest.mark.parametrize(
    ("folder", "lines", "kind"),
    [
        ("/data/s2v", [line("/data", "nfs4"), line("/data/s2v", "xfs")], "xfs"),
        ("/data/s2v", [line("/data/s2v", "nfs4"), line("/data", "xfs")], "nfs4"),
        ("/database", [line("/data", "nfs4")], "ext4"),
        ("/data", [line("/data", "xfs"), line("/data", "nfs4")], "nfs4"),
        ("/my data/s2v", [line("/my\\040data", "cifs")], "cifs"),
        ("/a\\b\tc\n#", [line("/a\\134b\\011c\\012\\043", "cifs")], "cifs"),
        ("/données", [line("/données", "cifs")], "cifs"),
        ("/data", [line("/data", "fuse.sshfs", " shared:12 master:1 propagate_from:2")], "fuse.sshfs"),
        ("/data", ["", "36 27", "36 27 0:40 / /data rw", line("/data", "nfs"), "37 27 0:1 / /data rw -"], "nfs"),
    ],
    ids=[
        "the longest", "whatever stands last", "no half name", "the last of two at one place", "a space",
        "other characters", "no ASCII", "tags", "lines that are none",
    ],
)  # fmt: skip
def test_a_folder_lies_on_the_mount_with_the_longest_point(folder: str, lines: list[str], kind: str) -> None:
    assert mount_of(Path(folder), "\n".join([DISK, *lines]).encode())[1] == kind


def test_a_link_to_a_mount_lies_on_it(data: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    assert network_mount(tmp_path / "data", listed(tmp_path, line(data.parent, "nfs4"))) == "nfs4"


def test_without_a_list_there_is_no_network_mount(tmp_path: Path) -> None:
    assert network_mount(tmp_path, tmp_path / "none") == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no list of mounts")
def test_the_list_of_this_machine_is_read() -> None:
    assert mount_of(Path("/proc/self"), MOUNTINFO.read_bytes()) == (Path("/proc"), "proc")
    assert network_mount(Path("/")) == ""


def test_beside_a_network_mount_the_ledger_is_private_and_the_same_at_each_start(data: Path, home: Path) -> None:
    settings = settings_on(data, "fuse.hf-mount")
    state = home / ".local/state/s2v"
    assert settings.ledger_url == state / data.relative_to("/") / "ledger.db"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert settings.data_dir == data
    assert settings_on(data, "fuse.hf-mount") == settings
    assert settings.ledger_risk.startswith(f"{data} is on a network mount (fuse.hf-mount), where SQLite is not safe")
    assert f"so the ledger is {settings.ledger_url}." in settings.ledger_risk
    assert settings.ledger_risk.endswith("To keep the tickets, set S2V_DATABASE_URL.")


def test_two_data_directories_have_two_ledgers(data: Path, home: Path) -> None:
    another = data.parent / "another"
    assert settings_on(data, "nfs4").ledger_url != settings_on(another, "nfs4").ledger_url


def test_a_ledger_that_is_on_the_mount_is_used_on_and_told(data: Path, home: Path) -> None:
    settings_on(data, "nfs4")
    (data / "ledger.db").touch()
    settings = settings_on(data, "nfs4")
    assert settings.ledger_url == data / "ledger.db"
    assert settings.ledger_risk.startswith(f"The ledger {data / 'ledger.db'} is on a network mount (nfs4), and is used")
    assert settings.ledger_risk.endswith("set S2V_DATABASE_URL once no job is under way.")


def test_a_home_folder_on_the_network_too_leaves_the_ledger_where_it_is(data: Path, home: Path) -> None:
    mountinfo = listed(home.parent, line(home.parent, "nfs4"))
    settings = Settings.from_environment({"S2V_DATA_DIR": str(data)}, mountinfo=mountinfo)
    assert settings.ledger_url == data / "ledger.db"
    assert "is used there" in settings.ledger_risk
    assert not home.exists()


def test_without_a_home_folder_the_ledger_stays_too(data: Path, home: Path) -> None:
    home.write_text("no folder")
    assert ledger_folder(data, listed(home.parent, line(data.parent, "nfs4"))) == data


@pytest.mark.parametrize(
    ("kind", "environment"),
    [("ext4", {}), ("nfs4", {"S2V_DATABASE_URL": "postgresql://user@host/name"})],
    ids=["on a disk", "with a database"],
)
def test_elsewhere_nothing_changes(kind: str, environment: dict[str, str], data: Path, home: Path) -> None:
    settings = settings_on(data, kind, **environment)
    assert settings.ledger_url == environment.get("S2V_DATABASE_URL", data / "ledger.db")
    assert settings.ledger_risk == ""
    assert not home.exists()
