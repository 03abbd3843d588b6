"""A clip says who made it, and is otherwise what it was."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import av
import pytest

from s2v_core.clip import marks
from s2v_core.clip.boxes import NotWhole, check_whole
from s2v_core.clip.marks import C2PA, TRAINED, XMP, NotXmp, add, made_here, parse, read, without

from ..support.clips import drawn
from .test_boxes import box

SYSTEM = "MiniMax S2V-01 through 302.AI"


def fields(scene: str = "", *, system: str = SYSTEM) -> dict[str, str]:
    return made_here(version="1.0.0", system=system, model="S2V-01", made=0.0, scene=scene, optimizer=True)


def planes(path: Path) -> str:
    """The sum of all that is decoded."""
    total = hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            for plane in frame.planes:
                total.update(bytes(plane))
    return total.hexdigest()


def encoded(path: Path, **options: str) -> Path:
    with av.open(str(path), "w", format="mp4", options=options) as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for picture in drawn():
            out.mux(stream.encode(av.VideoFrame.from_image(picture)))
        out.mux(stream.encode(None))
    return path


def told(path: Path) -> dict[str, object]:
    """What exiftool reads, by group and tag."""
    if not shutil.which("exiftool") and os.environ.get("CI") != "true":
        pytest.skip("exiftool is not on this machine")
    output = subprocess.run(["exiftool", "-json", "-G1", "-struct", path], capture_output=True, check=True).stdout
    return dict(json.loads(output)[0])


def open_ended(data: bytes) -> bytes:
    """The same with a last box that lasts to the end."""
    at = last = 0
    while at < len(data):
        last, at = at, at + int.from_bytes(data[at : at + 4])
    return data[:last] + bytes(4) + data[last + 4 :]


def long_header(data: bytes) -> bytes:
    """The same with a size of 64 bits in its last box, which is the media's."""
    at = last = 0
    while at < len(data):
        last, at = at, at + int.from_bytes(data[at : at + 4])
    body = data[last + 8 :]
    assert data[last + 4 : last + 8] == b"free"
    return data[:last] + (1).to_bytes(4) + b"free" + (16 + len(body)).to_bytes(8) + body


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return encoded(tmp_path / "clip.mp4", movflags="faststart")


def test_exiftool_reads_every_field_and_no_frame_is_another(path: Path) -> None:
    before, frames = path.read_bytes(), planes(path)
    assert add(path, fields("She nods & <waves>, “née” \U0001f600."))
    said = told(path)
    assert said["XMP-iptcExt:DigitalSourceType"] == TRAINED
    assert said["XMP-iptcExt:AISystemUsed"] == SYSTEM
    assert said["XMP-iptcExt:AISystemVersionUsed"] == "S2V-01"
    assert said["XMP-xmp:CreatorTool"] == "S2V Studio 1.0.0"
    assert said["XMP-xmp:CreateDate"] == "1970:01:01 00:00:00Z"
    assert str(said["XMP-xmpMM:InstanceID"]).startswith("uuid:")
    assert said["XMP-iptcExt:AIPromptInformation"] == said["XMP-s2v:Scene"] == "She nods & <waves>, “née” \U0001f600."
    assert said["XMP-s2v:ImproveScene"] is True
    assert "ExifTool:Warning" not in said
    assert path.read_bytes()[: len(before)] == before
    assert planes(path) == frames
    check_whole(path)
    assert read(path).fields[marks.SCENE] == "She nods & <waves>, “née” \U0001f600."


def test_a_simulated_clip_names_no_model(path: Path) -> None:
    assert add(path, fields("She nods.", system=""))
    assert not {"DigitalSourceType", "AISystem", "AIPrompt"} & {name.split(":")[-1] for name in told(path)}
    assert b"trainedAlgorithmic" not in path.read_bytes()


KINDS = {
    "its index in front": {"movflags": "faststart"},
    "its index at the end": {},
    "fragmented": {"movflags": "frag_keyframe+empty_moov"},
    "fragmented, with an index at the end": {"movflags": "frag_keyframe"},
    "in fragments of its own": {"movflags": "dash+frag_every_frame"},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_any_layout_is_marked_and_plays_as_before(options: dict[str, str], tmp_path: Path) -> None:
    path = encoded(tmp_path / "clip.mp4", **options)
    before, frames = path.read_bytes(), planes(path)
    assert add(path, fields())
    assert planes(path) == frames
    assert told(path)["XMP-iptcExt:DigitalSourceType"] == TRAINED
    if b"mfra" in before:
        # Which a player looks for by the last bytes.
        assert path.read_bytes()[-4:] == before[-4:]
        assert before[before.index(b"mfra") :] == path.read_bytes()[path.read_bytes().index(b"mfra") :]
    assert without(path) == before
    # A second mark takes the place of the first.
    assert add(path, fields("She nods."))
    assert told(path)["XMP-s2v:Scene"] == "She nods."
    assert path.read_bytes().count(XMP) == 1
    assert planes(path) == frames


def test_a_last_box_without_a_size_gets_it(tmp_path: Path) -> None:
    path = encoded(tmp_path / "clip.mp4")
    whole, frames = path.read_bytes(), planes(path)
    path.write_bytes(open_ended(whole))
    assert planes(path) == frames
    assert add(path, fields())
    assert without(path) == whole
    assert planes(path) == frames
    assert told(path)["XMP-iptcExt:DigitalSourceType"] == TRAINED


def test_a_box_with_a_size_of_64_bits_is_stepped_over(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(long_header(whole + box(b"free", b"f" * 40)))
    assert add(path, fields())
    assert read(path).ours


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_signed_clip_is_not_touched_by_a_byte(place: str, path: Path) -> None:
    whole, signature = path.read_bytes(), box(b"uuid", C2PA + b"signed")
    end = int.from_bytes(whole[:4])
    signed = whole + signature if place == "after" else whole[:end] + signature + whole[end:]
    path.write_bytes(signed)
    assert not add(path, fields())
    assert path.read_bytes() == signed
    assert read(path).c2pa


def test_marks_that_are_there_stay_and_only_the_missing_is_added(path: Path) -> None:
    whole = path.read_bytes()
    meta = box(b"udta", box(b"meta", bytes(4) + box(b"keys", b"AIGC") + box(b"ilst", b"{}")))
    at = whole.index(b"moov") - 4
    size = int.from_bytes(whole[at : at + 4])
    # Behind the index, which so stays where it is.
    labelled = whole[:at] + (size + len(meta)).to_bytes(4) + whole[at + 4 : at + size] + meta + whole[at + size :]
    path.write_bytes(labelled)
    assert read(path).aigc
    assert add(path, fields())
    assert path.read_bytes()[: len(labelled)] == labelled
    assert read(path).aigc


def test_an_index_of_three_million_boxes_is_walked_only_so_far(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + box(b"moov", box(b"free") * 3_000_000))
    began = time.process_time()
    assert not read(path).aigc
    assert time.process_time() - began < 1


@pytest.mark.parametrize(("theirs", "added"), [({marks.TOOL: "Another"}, True), ({marks.SOURCE_TYPE: "theirs"}, False)])
def test_what_another_has_written_stays(theirs: dict[str, str], added: bool, path: Path) -> None:
    labelled = path.read_bytes() + marks.box(theirs)
    path.write_bytes(labelled)
    assert add(path, fields()) is added
    assert path.read_bytes()[: len(labelled)] == labelled
    assert path.read_bytes().count(XMP) == 1 + added
    assert {**read(path).fields, **theirs} == dict(read(path).fields)


def test_on_a_full_disk_a_clip_stays_as_it_came(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_ended(encoded(path).read_bytes())
    path.write_bytes(before)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        add(path, fields())
    assert path.read_bytes() == before


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        match chance.randint(0, 3):
            case 0:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            case 1:
                at = chance.randrange(len(changed))
                changed[at : at + chance.randint(1, 40)] = b""
            case 2:
                del changed[chance.randrange(len(changed)) :]
            case _:
                at = chance.randrange(len(changed))
                changed[at:at] = chance.randbytes(chance.randint(1, 40))
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def test_a_damaged_clip_is_served_as_it_came_or_with_all_its_bytes(clip: bytes, tmp_path: Path) -> None:
    chance, path, fragmented = (
        random.Random(7),
        tmp_path / "m.mp4",
        encoded(tmp_path / "f.mp4", movflags="frag_keyframe"),
    )
    whole = [clip, clip + marks.box({marks.TOOL: "Another"}), open_ended(clip), fragmented.read_bytes()]
    marked = 0
    for _ in range(2000):
        before = mutated(chance.choice(whole), chance)
        path.write_bytes(before)
        try:
            changed = add(path, fields())
        except (NotWhole, NotXmp):
            changed = False
        if changed:
            marked += 1
            assert len(without(path)) == len(before)
            check_whole(path) if is_whole(path, before) else None
        else:
            assert path.read_bytes() == before
    assert 50 < marked < 1950


def is_whole(path: Path, data: bytes) -> bool:
    other = path.with_name("other.mp4")
    other.write_bytes(data)
    try:
        check_whole(other, length_is_known=True)
    except NotWhole:
        return False
    return True


HOSTILE = {
    "entities": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
    "a file of this machine": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "10 MB": b"<x>" + b" " * 10_000_000 + b"</x>",
    "another encoding": "<x>é</x>".encode("utf-16"),
    "an encoding that is not its own": b'<?xml version="1.0" encoding="utf-16"?><x>\xe9</x>',
    "damage": b"<x><y></x>",
    "nothing": b"",
    "binary": bytes(range(256)) * 100,
    "depth": b"<a>" * 20_000,
    "an unknown encoding": b'<?xml version="1.0" encoding="nonsense"?><x>&#0;</x>',
}


@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE)
def test_hostile_xmp_is_told_and_does_nothing(packet: bytes, clip: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip + box(b"uuid", XMP + packet))
    said = read(path)
    assert said.unread
    assert said.fields == {}
    with pytest.raises(NotXmp):
        parse(packet)
    # Nor is a second mark put beside what nobody can read.
    assert not add(path, fields())


def test_many_packets_are_not_all_read(clip: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip + marks.box({marks.TOOL: "x" * 60_000}) * 300)
    assert read(path).unread == "there are more than 20"


def test_a_script_in_a_field_is_text() -> None:
    said = parse(marks.box({marks.SCENE: "<script>alert(1)</script>\0\x1b[31m"})[24:])
    assert said == {marks.SCENE: "<script>alert(1)</script>[31m"}


def test_fields_are_read_however_they_are_written() -> None:
    packet = """<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:RDF xmlns:q="http://ns.adobe.com/xap/1.0/"><rdf:Description q:CreatorTool="By attribute"/>
      <rdf:Description xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><e:AIPromptInformation><rdf:Alt>
      <rdf:li xml:lang="x-default">In a list</rdf:li></rdf:Alt></e:AIPromptInformation></rdf:Description></rdf:RDF>
      </x:xmpmeta>"""
    assert parse(packet.encode()) == {marks.TOOL: "By attribute", marks.PROMPT: "In a list"}


def test_what_is_too_long_to_be_read_again_is_not_written(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(NotXmp):
        add(path, fields("x" * 70_000))
    assert path.read_bytes() == before
