"""What can be tried: portraits with scenes, scenes for a portrait of one's own, camera and light."""

import re
from collections.abc import Iterable

from ..language import LANGUAGES, gettext, read_in

# Each with scenes to try.
SAMPLES = (
    ("Eileen Collins, astronaut", "astronaut.png", (
        "She looks up at the night sky and smiles.",
        "She takes off her helmet and laughs.",
        "She floats past a window, Earth behind her.",
    )),
    ("Grace Hopper, US Navy", "grace_hopper.jpg", (
        "She turns from a computer and nods.",
        "She salutes on deck in a strong wind.",
        "She puts down her pen and looks at us.",
    )),
    ("A gardener", "gardener.jpg", (
        "She lifts a flower to the sun and laughs.",
        "She walks through rain and looks up.",
        "She opens a glasshouse door into mist.",
    )),
    ("A sailor", "sailor.jpg", (
        "He looks out over a rough sea, wind and spray.",
        "He turns the wheel and squints into the sun.",
        "He raises a mug in a café and grins.",
    )),
)  # fmt: skip
# For a portrait of one's own.
OWN = (
    "Walks through rain, looks up and laughs.",
    "Turns at the window, morning sun.",
    "Steps on stage and takes a bow.",
)
# Camera and light; of each pair one at a time.
CHIPS = (
    (("push in", "slow push in"), ("handheld", "handheld camera")),
    (("golden hour", "golden hour"), ("night", "at night")),
)


class Offered:
    """The scenes that the page offers, and `more`: who has one of them in the field has written nothing."""

    def __init__(self, more: Iterable[str]) -> None:
        scenes = {*OWN, *(scene for _, _, scenes in SAMPLES for scene in scenes), *more}
        self._scenes, self._phrases = set[str](), set[str]()
        # In whatever language they were shown.
        for each in LANGUAGES:
            with read_in(each):
                self._scenes |= set(map(gettext, scenes))
                self._phrases |= {gettext(phrase) for pair in CHIPS for _, phrase in pair}

    def has(self, prompt: str) -> bool:
        """Whether there is nothing else in it, whatever camera and light are."""
        bare = prompt.strip()
        for phrase in self._phrases:
            bare = re.sub(f"(, |，|、){re.escape(phrase)}", "", bare)
        return not bare or bare in self._scenes
