"""The caption on a machine without fonts of its own."""

import pytest

from s2v_core import scene


def test_without_a_fuller_font_an_accent_is_dropped_and_not_its_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "_FONTS", ())
    _, text = scene._lettering("She laughs in a café, naïve \x00 and 漢 happy.", 34)
    assert text == "She laughs in a cafe, naive and happy."
