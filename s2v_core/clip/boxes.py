"""Is an MP4 on disk whole? By its boxes alone (ISO/IEC 14496-12): nothing is decoded."""

from pathlib import Path

# Of a clip at its top: a few hundred at most.
_BOXES = 100_000


class NotWhole(Exception):
    """Says what is wrong with the file, in lower case and without a full stop."""


def check_whole(path: Path, *, length_is_known: bool = False) -> None:
    """Walk the boxes to the file's exact end, or so far that only its length can tell. Raises `NotWhole`."""
    end = path.stat().st_size
    if not end:
        raise NotWhole("the file is empty")
    found: set[bytes] = set()
    at = boxes = 0
    with path.open("rb") as file:
        while at < end:
            boxes += 1
            if boxes > _BOXES:
                if length_is_known:
                    return
                raise NotWhole(f"it has more than {_BOXES} boxes")
            file.seek(at)
            header = file.read(16)
            size, kind = int.from_bytes(header[:4]), header[4:8]
            if not found and kind != b"ftyp":
                raise NotWhole("it is not an MP4")
            if size == 1:
                size = int.from_bytes(header[8:16])
            elif size == 0 and length_is_known:
                # "To the end of the file": only a known length tells that this is the end.
                size = end - at
            if size < 8 or at + size > end:
                raise NotWhole("the file is cut off")
            found.add(kind)
            at += size
    if missing := {b"ftyp", b"moov", b"mdat"} - found:
        raise NotWhole("the file lacks " + b", ".join(sorted(missing)).decode())
