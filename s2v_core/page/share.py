"""The page's own address, for the phones of an audience."""

import segno

from ..settings import Settings


def shared(settings: Settings) -> dict[str, str]:
    """Where the page is public: its `address` as people read it, and a QR `code` as a data URL; else nothing."""
    hosts = [settings.space_host, *settings.hosts]
    if not (host := next(filter(None, hosts), "")):
        return {}
    code = segno.make(f"https://{host}/", error="m", micro=False)
    return {"address": host, "code": code.svg_data_uri(border=4, scale=4, light="#ffffff")}
