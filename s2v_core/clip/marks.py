"""What a clip says of itself: read from an MP4, and added to one without a change to anything that is there.

The marks are XMP in a box of its own at the end, so that no offset moves and no frame is touched (XMP Specification
part 3; IPTC Video Metadata Hub and its "digital source type"). A clip with C2PA's box is signed over all its bytes, and
China's `AIGC` key may be neither taken away nor forged: both stay as they are.
"""

import os
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from ..language import Sentence
from .boxes import Box, NotWhole, boxes

MAKER = "S2V Studio"
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SOURCE_TYPE, SYSTEM, VERSION = (
    f"Iptc4xmpExt:{n}" for n in ("DigitalSourceType", "AISystemUsed", "AISystemVersionUsed")
)
TOOL, MADE, INSTANCE = "xmp:CreatorTool", "xmp:CreateDate", "xmpMM:InstanceID"
# The sentence that the clip was made of, and whether the service might rewrite it.
SCENE, PROMPT, OPTIMIZER = "s2v:Scene", "Iptc4xmpExt:AIPromptInformation", "s2v:ImproveScene"
# Of a reel, the random ids of its parts.
PARTS = "s2v:Parts"
_SPACES = {
    "x": "adobe:ns:meta/", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/", "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "s2v": "urn:s2v-studio:1.0:",
}  # fmt: skip
_PREFIXES = {space: prefix for prefix, space in _SPACES.items()}
XMP = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
C2PA = uuid.UUID("d8fec3d6-1b0e-483c-9297-5828877ec481").bytes
_HEAD, _TAIL = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>', '<?xpacket end="w"?>'
# What XML has no place for.
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PACKET_BYTES = 64_000
_INDEX_BYTES, _PACKETS = 4_000_000, 20


# Of a reel.
MOST_PARTS = 6


class NotXmp(Exception):
    """No XMP, or none that can be trusted to be read; its argument is why, as that of `NotWhole`."""

    def __init__(self, why: str, **facts: object) -> None:
        super().__init__(Sentence(why, **facts))


class NotJoined(Exception):
    """The clips make no reel; says why, as a sentence."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What a file says of itself: its XMP's `fields` as `prefix:Name`, and which other marks it has.

    `unread` is why a part of its XMP was not read.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    c2pa: bool = False
    aigc: bool = False
    unread: str = ""

    @property
    def ours(self) -> bool:
        return self.fields.get(TOOL, "").startswith(MAKER)


def made_here(
    *, version: str, system: str = "", model: str = "", made: float | None = None, scene: str = "",
    optimizer: bool | None = None,
) -> dict[str, str]:  # fmt: skip
    """The fields of a clip of ours; without a `system` no model made it. Times are epoch seconds, or now."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made))
    fields = {TOOL: f"{MAKER} {version}", MADE: at, INSTANCE: f"uuid:{uuid.uuid4()}"}
    if system:
        fields |= by_model(system, model)
    if scene:
        fields |= {SCENE: scene, OPTIMIZER: str(bool(optimizer)), **({PROMPT: scene} if system else {})}
    return fields


def by_model(system: str, model: str) -> dict[str, str]:
    """The fields that say that a model made it, and through whom."""
    return {SOURCE_TYPE: TRAINED, SYSTEM: system, VERSION: model}


def box(fields: Mapping[str, str]) -> bytes:
    """The box that says so. Raises `NotXmp` if it would be too large to be read again."""
    for prefix, space in _SPACES.items():
        ElementTree.register_namespace(prefix, space)
    root = ElementTree.Element(_long("x:xmpmeta"))
    description = ElementTree.SubElement(
        ElementTree.SubElement(root, _long("rdf:RDF")), _long("rdf:Description"), {_long("rdf:about"): ""}
    )
    for name, text in fields.items():
        ElementTree.SubElement(description, _long(name)).text = _NO_XML.sub("", text)
    packet = f"{_HEAD}{ElementTree.tostring(root, encoding='unicode')}{_TAIL}".encode()
    if len(packet) > PACKET_BYTES:
        raise NotXmp("it would be over {most} kB", most=PACKET_BYTES // 1000)
    return (24 + len(packet)).to_bytes(4) + b"uuid" + XMP + packet


def parse(packet: bytes) -> dict[str, str]:
    """The fields of an XMP packet in the namespaces that are known here. Raises `NotXmp`."""
    if len(packet) > PACKET_BYTES:
        raise NotXmp("it is over {most} kB", most=PACKET_BYTES // 1000)
    try:
        text = packet.decode()
    except UnicodeDecodeError:
        raise NotXmp("it is not UTF-8") from None
    # An entity can stand for a gigabyte or for a file of this machine; XMP has none.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise NotXmp("it declares entities")
    try:
        root = ElementTree.fromstring(text.lstrip("\ufeff"))
    except (ElementTree.ParseError, ValueError):
        raise NotXmp("it is damaged") from None
    fields: dict[str, str] = {}
    for description in root.iter(_long("rdf:Description")):
        for name, value in description.attrib.items():
            fields.setdefault(_short(name), value)
        for child in description:
            # Of a list, its first.
            item = child.find(f".//{_long('rdf:li')}")
            fields.setdefault(_short(child.tag), (child if item is None else item).text or "")
    return {name: value for name, value in fields.items() if name and not name.startswith("rdf:")}


def read(path: Path) -> Marks:
    """What an MP4 says of itself. Raises `NotWhole` and `OSError`."""
    with path.open("rb") as file:
        return _read(file, _top(file))


def add(path: Path, fields: Mapping[str, str]) -> bool:
    """Mark an MP4 that nobody reads yet, in its place; whether it was changed.

    A mark of ours is replaced. One that is signed is not, nor one that says its source or what cannot be read here.
    Raises `NotWhole`, `NotXmp` and `OSError`: then it is as it was.
    """
    with path.open("r+b") as file:
        top = _top(file)
        last = top[-1]
        # A player looks for the index of a fragmented file at its very end.
        before = top[:-1] if last.kind == b"mfra" else top
        own = before[-1] if before and _read(file, before[-1:]).ours else None
        others = _read(file, [each for each in top if each is not own])
        if others.c2pa or others.unread or SOURCE_TYPE in others.fields:
            return False
        start = own.start if own else before[-1].end if before else 0
        _put(file, last, start, after=own.end if own else start, new=box(fields))
    return True


def without(path: Path) -> bytes:
    """A file's bytes as they were before a mark of ours was put at its end. Raises `NotWhole` and `OSError`."""
    with path.open("rb") as file:
        top = _top(file)
        before = top[:-1] if top[-1].kind == b"mfra" else top
        file.seek(0)
        data = file.read()
        if before and _read(file, before[-1:]).ours:
            return data[: before[-1].start] + data[before[-1].end :]
        return data


def _put(file: BinaryIO, last: Box, start: int, *, after: int, new: bytes) -> None:
    """The new box between `start` and `after`, or all as it was."""
    end = last.end
    file.seek(start)
    old = file.read()
    rest = old[after - start :]
    try:
        if last.open:
            if end - last.start >= 1 << 32:
                raise NotWhole("its last box is too large to be given a size")
            file.seek(last.start)
            file.write((end - last.start).to_bytes(4))
        file.seek(start)
        file.write(new + rest)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        file.seek(start)
        file.write(old)
        if last.open:
            file.seek(last.start)
            file.write(bytes(4))
        file.truncate(end)
        raise


def _top(file: BinaryIO) -> list[Box]:
    found = list(boxes(file, 0, file.seek(0, os.SEEK_END)))
    if not found or found[0].kind != b"ftyp":
        raise NotWhole("it is not an MP4")
    return found


def _read(file: BinaryIO, top: list[Box]) -> Marks:
    fields: dict[str, str] = {}
    c2pa, aigc, unread, packets = False, False, "", 0
    for each in top:
        if each.kind == b"uuid":
            file.seek(each.body)
            name = file.read(16)
            c2pa = c2pa or name == C2PA
            packets += name == XMP
            if packets > _PACKETS:
                unread = Sentence("there are more than {most}", most=_PACKETS)
            elif name == XMP:
                try:
                    found = parse(file.read(min(PACKET_BYTES + 1, each.end - each.body - 16)))
                    fields = {**found, **fields}
                except NotXmp as error:
                    unread = error.args[0]
        elif each.kind == b"moov":
            aigc = aigc or _has_aigc(file, each)
    return Marks(fields, c2pa, aigc, unread)


def _has_aigc(file: BinaryIO, moov: Box) -> bool:
    """Whether `moov/udta/meta` has the key of GB 45438-2025."""
    try:
        for child in boxes(file, moov.body, moov.end):
            if child.kind in {b"udta", b"meta"}:
                file.seek(child.body)
                if b"AIGC" in file.read(min(_INDEX_BYTES, child.end - child.body)):
                    return True
    except NotWhole:
        # An index that is damaged has no key that anybody reads.
        pass
    return False


def _long(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{_SPACES[prefix]}}}{local}"


def _short(name: str) -> str:
    space, _, local = name.removeprefix("{").partition("}")
    return f"{_PREFIXES[space]}:{local}" if space in _PREFIXES else ""
