"""Who can be asked: names, prices, and the pages where a person finds keys and charges."""

from urllib.parse import urlsplit

from .language import gettext

BASE_URL = "https://api.302.ai/minimaxi/v1"
_PROVIDERS = {
    "simulator": "Simulator",
    "api.302.ai": "302.AI",
    "api.minimax.io": "MiniMax",
    "api.minimaxi.com": "MiniMax China",
}
# Where a person finds keys, and what was charged.
_CONSOLES = {
    "302.AI": ("https://dash.302.ai/apis/list", "https://dash.302.ai/charge"),
    "MiniMax": (
        "https://platform.minimax.io/user-center/basic-information/interface-key",
        "https://platform.minimax.io/user-center/payment/balance",
    ),
    "MiniMax China": (
        "https://platform.minimaxi.com/user-center/basic-information/interface-key",
        "https://platform.minimaxi.com/user-center/payment/balance",
    ),
}
_PRICES = {"simulator": 0, "api.302.ai": 700}


def provider(base_url: str) -> str:
    """Who is asked, as a person calls it: `302.AI`, `MiniMax`, or the host."""
    host = urlsplit(base_url).netloc
    return _PROVIDERS.get(host, host)


def price(base_url: str) -> int | None:
    """A call's price in thousandths of a PTC; None where only the provider knows."""
    return _PRICES.get(urlsplit(base_url).netloc)


def console(provider: str) -> tuple[str, str]:
    """The provider's pages of keys and of charges; empty where we know of none."""
    return _CONSOLES.get(provider, ("", ""))


def price_words(amount: int | None, provider: str) -> str:
    """`free`, `0.7 PTC`, or who prices it; thousandths of a PTC."""
    if amount is None:
        return gettext("priced by {provider}", provider=provider)
    return f"{amount / 1000:g} PTC" if amount else gettext("free")


def price_of_a_clip(base_url: str) -> str:
    """`free`, `0.7 PTC a clip`, or who prices it."""
    words = price_words(amount := price(base_url), provider(base_url))
    return gettext("{price} a clip", price=words) if amount else words
