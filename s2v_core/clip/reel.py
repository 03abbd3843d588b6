"""Several clips → one, in their order; by a process of its own: `python -m s2v_core.clip.reel REEL CLIP CLIP …`.

It prints `copied` or `encoded`. Whatever else happens ends it. There is no sound.
"""

import asyncio
import os
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from PIL import Image, ImageOps

from ..language import Sentence
from . import marks
from .boxes import NotWhole
from .encode import write
from .marks import NotJoined
from .pictures import printed
from .stills import limit, opened

_ROOT = Path(__file__).parent.parent.parent
_MEMORY, _CPU_SECONDS, _FILE_BYTES = 1_000_000_000, 300, 1_200_000_000


def join(parts: Sequence[tuple[Path, Mapping[str, str]]], reel: Path, *, version: str, seconds: float = 600.0) -> bool:
    """Write a reel that nobody reads yet, and say in it who made its parts; whether their frames were only copied.

    Each part comes with the fields that are known of it, whatever its file says. Raises `NotJoined`, and `OSError` if
    it cannot be written.
    """
    said = [{**known, **_said(part)} for part, known in parts]
    files = [each.absolute() for each in (reel, *(part for part, _ in parts))]
    try:
        making = printed("-m", "s2v_core.clip.reel", *files, lines=1, most_bytes=100, seconds=seconds, folder=_ROOT)
        (how,) = asyncio.run(making)
        marks.add(reel, together(said, version=version))
    except (TimeoutError, ValueError, NotWhole, marks.NotXmp) as error:
        raise NotJoined(Sentence("These clips make no reel ({why}).", why=type(error).__name__)) from None
    return how == b"copied"


def together(said: Sequence[Mapping[str, str]], *, version: str) -> dict[str, str]:
    """The fields of a reel, which names each part by its random id, and all that made them."""
    fields = marks.made_here(version=version)
    for name in (marks.SOURCE_TYPE, marks.SYSTEM, marks.VERSION):
        if values := list(dict.fromkeys(part[name] for part in said if part.get(name))):
            fields[name] = "; ".join(values)
    fields[marks.PARTS] = " ".join(part.get(marks.INSTANCE, "unmarked") for part in said)
    scenes = [part.get(marks.SCENE, "") for part in said]
    return fields | ({marks.SCENE: "\n".join(scenes)} if all(scenes) else {})


def _said(part: Path) -> Mapping[str, str]:
    """What a part says of itself, where a reel can say it too."""
    try:
        found = marks.read(part)
    except NotWhole as error:
        raise NotJoined(Sentence("{name} is no whole MP4: {why}.", name=part.name, why=error.args[0])) from None
    # None may be taken out of a clip, and no copy of its frames has it.
    there = ("C2PA", found.c2pa), ("AIGC", found.aigc), ("XMP that cannot be read", found.unread)
    if kinds := [name for name, is_there in there if is_there]:
        raise NotJoined(
            Sentence("{name} carries a mark that a reel would lose ({kinds}).", name=part.name, kinds=", ".join(kinds))
        )
    return found.fields


def make(reel: str, parts: Sequence[str]) -> bool:
    """Write the reel; whether the frames were copied as they are, which needs clips of one kind."""
    if len({_kind(part) for part in parts}) == 1:
        _copy(reel, parts)
        return True
    with opened(parts[0]) as (video, _):
        size, rate = (video.width, video.height), round(video.average_rate or 25)
    write(_frames(parts, size, rate), Path(reel), fps=rate)
    return False


def _kind(part: str) -> tuple[object, ...]:
    """What must be the same for one player to play clips as one."""
    with opened(part) as (video, _):
        context = video.codec_context
        shape = context.name, video.width, video.height, context.pix_fmt, video.average_rate, video.time_base
        return *shape, bytes(context.extradata or b"")


def _copy(reel: str, parts: Sequence[str]) -> None:
    with av.open(reel, "w", format="mp4", options={"movflags": "faststart"}) as out:
        stream, start = None, 0
        for part in parts:
            with opened(part) as (video, _):
                stream = stream or out.add_stream_from_template(video)
                end = start
                for packet in cast(InputContainer, video.container).demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.stream = stream
                    packet.dts += start
                    packet.pts += start
                    end = max(end, packet.pts + (packet.duration or 1))
                    out.mux(packet)
                start = end


def _frames(parts: Sequence[str], size: tuple[int, int], rate: int) -> Iterator[Image.Image]:
    """At one rate, each within the size of the first."""
    for part in parts:
        number = 0
        with opened(part) as (_, decoded):
            for frame in decoded:
                while frame.time is not None and number <= rate * frame.time + 1e-3:
                    yield ImageOps.pad(frame.to_image(), size)  # type: ignore[no-untyped-call]
                    number += 1


def main() -> None:
    limit(memory=_MEMORY, cpu_seconds=_CPU_SECONDS, file_bytes=_FILE_BYTES)
    # A path that looks like a URL is none.
    reel, *parts = map(os.path.abspath, sys.argv[1:])
    how = "copied" if make(reel, parts) else "encoded"
    print(b64encode(how.encode()).decode())


if __name__ == "__main__":
    main()
