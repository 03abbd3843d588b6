"""The page's own address, for the phones of an audience."""

import segno

from ..settings import Settings


def shared(settings: Settings, root: str = "") -> dict[str, str]:
    """Where the page is public: its `address` as people read it, and a QR `code` as a data URL; else nothing.

    `root` is the path in front of the page, or its whole address.
    """
    hosts = [settings.space_host, *settings.hosts]
    if root.startswith("https://"):
        url = root
    elif host := next(filter(None, hosts), ""):
        url = f"https://{host}{root}"
    else:
        return {}
    code = segno.make(f"{url.rstrip('/')}/", error="m", micro=False)
    address = url.removeprefix("https://").rstrip("/")
    return {"address": address, "code": code.svg_data_uri(border=4, scale=4, light="#ffffff")}
