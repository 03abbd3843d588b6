"""The environment's share of each connection: whose certificates are trusted, and which proxies lead out."""

import os
import ssl
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec

import httpx

from .errors import SettingsError

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", *_PROXIES)


@cache
def certificates() -> ssl.SSLContext:
    """Who is trusted over TLS; loading them takes a client 50 ms, so all share them. Raises `SettingsError`."""
    try:
        return httpx.create_ssl_context()
    except OSError:
        raise SettingsError("SSL_CERT_FILE: this is no file of certificates that can be read.") from None


def check_network(environment: Mapping[str, str] = os.environ) -> None:
    """Raises `SettingsError`, which names the variable, if no client can be made with what the environment says."""
    certificates()
    folders = environment.get("SSL_CERT_DIR", "")
    if folders and not environment.get("SSL_CERT_FILE") and not any(map(os.path.isdir, folders.split(os.pathsep))):
        raise SettingsError("SSL_CERT_DIR: this folder is not there.")
    for name, text in environment.items():
        if text and name.upper() in _PROXIES:
            _check_proxy(name, text)
    try:
        httpx.Client(verify=certificates()).close()
    except httpx.InvalidURL:
        raise SettingsError(
            "NO_PROXY: this is a list of host names and addresses, with commas between; no brackets, no networks."
        ) from None


def _check_proxy(name: str, text: str) -> None:
    try:
        proxy = httpx.Proxy(text if "://" in text else f"http://{text}").url
    except (ValueError, httpx.InvalidURL):
        raise SettingsError(f"{name}: this is no http, https or socks5 address of a proxy.") from None
    if not proxy.host:
        raise SettingsError(f"{name}: this names no host.")
    if proxy.scheme.startswith("socks") and not find_spec("socksio"):
        raise SettingsError(f"{name}: a SOCKS proxy needs one more package: pip install socksio.")
