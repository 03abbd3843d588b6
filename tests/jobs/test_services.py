"""Who pays for a click, and what its row says of that."""

import pytest

from s2v_core import InputRejected
from s2v_core.client import Client
from s2v_core.jobs.model import Payer
from s2v_core.jobs.services import NO_KEY, KeyRing, Services

BASE_URL = "https://api.302.ai/minimaxi/v1"


def ring(owner: str = "") -> KeyRing:
    def connect(key: str) -> Client:
        return Client(BASE_URL, key)

    return KeyRing("print of {}".format, connect, simulator=connect("simulator"), owner=owner)


@pytest.mark.parametrize(
    ("name", "key", "row"),
    [
        ("simulator", None, ("simulator", "Simulator", 0, Payer.NOBODY, NO_KEY)),
        ("live", None, ("live", "302.AI", 700, Payer.OWNER, "print of sk-owner")),
        ("live", "sk-visitor", ("live", "302.AI", 700, Payer.OWNER, "print of sk-owner")),
        ("own", "sk-visitor", ("live", "302.AI", 700, Payer.VISITOR, "print of sk-visitor")),
    ],
)
def test_a_row_says_who_is_asked_and_who_pays(name: str, key: str | None, row: tuple[object, ...]) -> None:
    service = Services(BASE_URL, owner_has_key=True)[name]
    assert tuple(service.columns(ring("sk-owner").key_for(service.payer, key)).values()) == row


def test_without_the_owners_key_the_simulator_is_used_and_nothing_is_live() -> None:
    services = Services(BASE_URL, owner_has_key=False)
    assert services.default is services.simulator
    with pytest.raises(InputRejected, match="There is no live service here"):
        services["live"]
    assert services["own"] is services.own


def test_a_visitor_who_pays_has_a_key() -> None:
    with pytest.raises(InputRejected, match="Your key is no longer here"):
        ring().key_for(Payer.VISITOR, None)
