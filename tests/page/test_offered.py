"""What the page offers gives way to something else that it offers, and nothing that a person wrote does."""

import pytest

from s2v_core.language import LANGUAGES, gettext, read_in
from s2v_core.page.offered import CHIPS, OWN, SAMPLES, Offered

OFFERED = Offered(["She walks an example's road."])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scene", ["", "She walks an example's road.", OWN[0], SAMPLES[-1][2][-1]])
def test_an_offered_scene_is_nobodys_in_any_language_and_with_any_chip(scene: str, language: str) -> None:
    with read_in(language):
        shown, phrase = gettext(scene) if scene else "", gettext(CHIPS[1][0][1])
    assert OFFERED.has(shown)
    assert OFFERED.has(f" {shown}{', ' if language == 'en' else '，'}{phrase}\n")


@pytest.mark.parametrize("scene", ["Mine.", f"{OWN[0]} And then she laughs.", CHIPS[0][0][1]])
def test_what_a_person_wrote_is_theirs(scene: str) -> None:
    assert not OFFERED.has(scene)
