"""The boxes of an MP4 on disk (ISO/IEC 14496-12): is it whole, and what does it carry? Nothing is decoded."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..language import Sentence

# Of a clip at its top: a few hundred at most.
_BOXES = 100_000


class NotWhole(Exception):
    """Its argument is a `Sentence` for what is wrong with the file, in lower case and without a full stop."""

    def __init__(self, why: str, **facts: object) -> None:
        super().__init__(Sentence(why, **facts))


class Box(NamedTuple):
    """Where it begins and ends, header and all. One that is `open` has no size of its own: it lasts to the end."""

    kind: bytes
    start: int
    body: int
    end: int
    open: bool


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Those that follow each other from `start` to exactly `end`. Raises `NotWhole`, also where they are too many."""
    number = 0
    while start < end:
        if (number := number + 1) > _BOXES:
            raise NotWhole("it has more than {most} boxes", most=_BOXES)
        file.seek(start)
        header = file.read(16)
        size, kind, body = int.from_bytes(header[:4]), header[4:8], start + 8
        if is_open := size == 0:
            size = end - start
        elif size == 1:
            size, body = int.from_bytes(header[8:16]), start + 16
        if size < body - start or start + size > end:
            raise NotWhole("the file is cut off")
        yield Box(kind, start, body, start + size, is_open)
        start += size


def check_whole(path: Path, *, length_is_known: bool = False) -> None:
    """Walk the boxes to the file's exact end, or so far that only its length can tell. Raises `NotWhole`."""
    end = path.stat().st_size
    if not end:
        raise NotWhole("the file is empty")
    found: set[bytes] = set()
    with path.open("rb") as file:
        for number, box in enumerate(boxes(file, 0, end), 1):
            if not found and box.kind != b"ftyp":
                raise NotWhole("it is not an MP4")
            found.add(box.kind)
            # "To the end of the file": only a known length tells that this is the end.
            if box.open and not length_is_known:
                raise NotWhole("the file is cut off")
            if number == _BOXES and length_is_known:
                return
    if missing := {b"ftyp", b"moov", b"mdat"} - found:
        raise NotWhole("the file lacks {boxes}", boxes=b", ".join(sorted(missing)).decode())
