"""The caption on a machine without fonts of its own."""

import pytest

from s2v_core.simulator.film import lettering, overlay


def test_without_a_fuller_font_an_accent_is_dropped_and_not_its_letter() -> None:
    _, text = lettering("She laughs in a café, naïve \x00 and 漢 happy.", 34, fonts=())
    assert text == "She laughs in a cafe, naive and happy."


@pytest.mark.parametrize(
    "prompt", ["\u2800\u2800", "\u3164 \u115f", "\u200b\u2060", "\ufe0f\u0301", "\v\x85"], ids=ascii
)
def test_a_prompt_that_shows_nothing_has_no_caption(prompt: str) -> None:
    assert [layer.tobytes() for layer in overlay(prompt)] == [layer.tobytes() for layer in overlay("")]


def test_a_control_that_breaks_a_line_joins_no_words_of_a_caption() -> None:
    _, text = lettering("She smiles.\vShe\x85waves.\u2028\u2800 Softly.\x07", 34)
    assert text == "She smiles. She waves. Softly."
