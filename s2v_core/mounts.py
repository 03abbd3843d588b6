"""What lies on a network mount, by Linux's list of mounts, and where an SQLite ledger lies then."""

import os
import re
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
# Beside `fuse` and its kinds, such as `fuse.sshfs`. `fuseblk` is a disk.
_KINDS = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "orangefs", "smb3", "smbfs",
}  # fmt: skip
_OPTIONS = 6
_STATE = Path(".local/state/s2v")


def mount_of(folder: Path, mountinfo: bytes) -> tuple[Path, str]:
    """The mount that holds a resolved folder, by the text of Linux's list: its mount point and its type."""
    found = Path(folder.anchor), ""
    for line in mountinfo.splitlines():
        fields = line.split(b" ")
        # Before the dash stand as many tags as there are.
        if b"-" not in fields[_OPTIONS:-1]:
            continue
        point = Path(os.fsdecode(re.sub(rb"\\([0-3][0-7]{2})", lambda code: bytes([int(code[1], 8)]), fields[4])))
        # Of several at one place the last covers the others.
        if folder.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = point, os.fsdecode(fields[fields.index(b"-", _OPTIONS) + 1])
    return found


def network_mount(folder: Path, mountinfo: Path = MOUNTINFO) -> str:
    """The type of the network mount that holds a folder, such as `nfs4`; empty if there is none, or no list.

    `/` is never one: it is a container's own disk, which can be of any type (`fuse.fuse-overlayfs`, `9p`).
    """
    try:
        point, kind = mount_of(folder.resolve(), mountinfo.read_bytes())
    except OSError:
        return ""
    return kind if len(point.parts) > 1 and (kind in _KINDS or kind.startswith("fuse.")) else ""


def ledger_folder(data_dir: Path, mountinfo: Path = MOUNTINFO) -> Path:
    """On this machine's own disk, private, and the same at each start, for a data directory on a network mount.

    It is the data directory where a ledger is there already, and where there is no such disk below the home folder.
    """
    if (data_dir / "ledger.db").exists():
        return data_dir
    try:
        state = Path.home() / _STATE
        if network_mount(state, mountinfo):
            return data_dir
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        where = data_dir.resolve()
        folder = state / where.relative_to(where.anchor)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return data_dir
    return folder
