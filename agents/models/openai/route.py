"""The way to an endpoint: the proxy and the certificates that the environment names for it.

Invariant: a machine's own addresses are reached without a proxy, and what the environment says
wrongly is one line before anything is sent.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

import httpx2

from folkways.errors import UserError

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name the certificates to trust; the first that is set counts."""
_SCHEMES = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class Route:
    """How an endpoint is reached."""

    proxy: httpx2.Proxy | None
    verify: ssl.SSLContext | bool
    """Certificates to trust, where the endpoint has one."""
    through: str = ""
    """The proxy in words, without its password; empty where there is none."""


def find_route(base_url: str) -> Route:
    """Return the way to an address. Raises UserError for a proxy or a file of certificates that
    cannot be used."""
    url = httpx2.URL(base_url)
    verify = _certificates() if url.scheme == "https" else True
    found = _proxy_for(url)
    if found is None:
        return Route(None, verify if url.scheme == "https" else False)
    variable, value = found
    address = value if "://" in value else f"http://{value}"
    address = address.replace("socks://", "socks5://", 1)
    shown = f"{address.partition('://')[0]}://{address.partition('://')[2].rpartition('@')[2]}"
    remedy = f"correct {variable}, unset it, or put {url.host} into NO_PROXY"
    try:
        parts = httpx2.URL(address)
        sound = parts.scheme in _SCHEMES and parts.host and 0 < (parts.port or 80) < 65536
        sound = sound and parts.path in ("", "/")
    except httpx2.InvalidURL:
        sound = False
    if not sound:
        raise UserError(
            f"the proxy {shown!r} that {variable} names cannot be used; write http://HOST:PORT or "
            f"socks5://HOST:PORT: {remedy}"
        )
    if address.startswith("socks") and find_spec("socksio") is None:
        raise UserError(
            f"{variable} names a SOCKS proxy ({shown}), for which a package is missing: "
            f"pip install 'folkways[socks]', or {remedy.partition(', ')[2]}"
        )
    return Route(httpx2.Proxy(address), verify, f"the proxy {shown.rstrip('/')} ({variable})")


def _proxy_for(url: httpx2.URL) -> tuple[str, str] | None:
    """Return the variable that names the proxy for an address, and what it says."""
    proxies = getproxies()
    scheme = url.scheme if proxies.get(url.scheme) else "all"
    if not proxies.get(scheme) or _is_own(url.host) or _is_spared(url, proxies.get("no", "")):
        return None
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
    variable = next((name for name in names if os.environ.get(name)), "the system's settings")
    return variable, proxies[scheme].strip()


def _is_own(host: str) -> bool:
    """Return whether a host is this machine itself."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _is_spared(url: httpx2.URL, listed: str) -> bool:
    """Return whether NO_PROXY lists a host, by name, with or without its port, or by network."""
    host = url.host
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    if proxy_bypass(f"{host}:{port}"):
        return True
    for entry in listed.split(","):
        try:
            if ip_address(host) in ip_network(entry.strip().strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False


def _certificates() -> ssl.SSLContext | bool:
    """Return the certificates that the environment names; True for the system's own."""
    variable = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
    if variable is None:
        return True
    path = Path(os.environ[variable])
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if type(error) is FileNotFoundError else "no certificates in it"
        raise UserError(
            f"{variable} names {str(path)!r}, which cannot be used ({why}); name a file of "
            "certificates in PEM form, or unset it"
        ) from None
