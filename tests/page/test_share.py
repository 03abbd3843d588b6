"""The page's own address as a code for phones."""

import pytest
import segno

from s2v_core import Settings
from s2v_core.page.share import shared


def test_a_page_without_a_public_name_has_no_code() -> None:
    assert shared(Settings()) == {}


SPACE = Settings(space="me/s2v", space_host="studio.example.org")


@pytest.mark.parametrize(
    ("settings", "root", "address"),
    [
        (Settings(hosts=("studio.example.org", "other.example")), "", "studio.example.org"),
        (Settings(hosts=("studio.example.org",)), "/clips", "studio.example.org/clips"),
        (Settings(), "https://studio.example.org:8443/clips/", "studio.example.org:8443/clips"),
        (SPACE, "", "studio.example.org"),
    ],
)
def test_a_public_page_has_its_address_as_words_and_as_a_picture(settings: Settings, root: str, address: str) -> None:
    seen = shared(settings, root)
    assert seen["address"] == address
    usual = segno.make(f"https://{address}/", error="m", micro=False)
    assert seen["code"] == usual.svg_data_uri(border=4, scale=4, light="#ffffff")
