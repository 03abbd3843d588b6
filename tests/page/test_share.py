"""The page's own address as a code for phones."""

import pytest

from s2v_core import Settings
from s2v_core.page.share import shared


def test_a_page_without_a_public_name_has_no_code() -> None:
    assert shared(Settings()) == {}


@pytest.mark.parametrize(
    "settings",
    [
        Settings(hosts=("studio.example.org", "other.example")),
        Settings(space="me/s2v", space_host="studio.example.org"),
    ],
    ids=["S2V_HOSTS", "SPACE_HOST"],
)
def test_a_public_page_has_its_address_as_words_and_as_a_picture(settings: Settings) -> None:
    seen = shared(settings)
    assert seen["address"] == "studio.example.org"
    assert seen["code"].startswith("data:image/svg+xml")
