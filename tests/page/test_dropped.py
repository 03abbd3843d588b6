"""What a clip says of itself when it is dropped on the page."""

import base64

import pytest

from s2v_core.clip import marks
from s2v_core.page.dropped import dropped

MAKER = marks.by_model("MiniMax S2V-01 through 302.AI", "S2V-01")


def sent(**fields: str) -> str:
    """As a browser sends the description in a file."""
    packet = marks.box(MAKER | fields)
    return base64.b64encode(packet[packet.index(b"<") :]).decode()


def test_its_scene_is_filled_in_where_nobody_has_written_one() -> None:
    clip = sent(**{marks.SCENE: "She walks through rain.", marks.OPTIMIZER: "False"})
    sentence, scene, improved = dropped(clip, free=True)
    assert (scene, improved) == ("She walks through rain.", False)
    assert sentence.startswith("This clip says: made by MiniMax S2V-01 through 302.AI.")
    assert sentence.endswith("Its scene is filled in.")
    sentence, scene, _ = dropped(clip, free=False)
    assert scene == ""
    assert sentence.endswith("Your scene was left as it is; the clip's is: “She walks through rain.”")


def test_a_scene_that_cannot_be_sent_is_none() -> None:
    sentence, scene, _ = dropped(sent(**{marks.SCENE: "x" * 2001}), free=True)
    assert scene == ""
    assert sentence.endswith("It does not keep its scene.")


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        ("no base64", "This clip's description could not be read."),
        ("", "This clip says nothing of itself."),
        (base64.b64encode(b"<a>").decode(), "This clip's description was not read: "),
    ],
)
def test_what_cannot_be_read_is_said_and_fills_nothing(packet: str, said: str) -> None:
    sentence, scene, improved = dropped(packet, free=True)
    assert sentence.startswith(said)
    assert (scene, improved) == ("", True)
