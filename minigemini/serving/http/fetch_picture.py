"""A picture from another server, if whoever serves has named that server.

A client that could make this server fetch what it likes would reach what the server reaches: a cloud's metadata, a printer, a neighbour's
database. So the host must be one of a list, and the address that its name stands for a public one; the connection goes to the very address
that was looked at, so that a second look-up cannot give another (DNS rebinding); and a redirect is a new URL, looked at like the first.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Collection
from urllib.parse import SplitResult, urljoin, urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.exceptions import HTTPError

from minigemini.serving.http.errors import ApiError

MAX_FILE = 20 * 2**20
"""Bytes of one picture."""
SECONDS = 10.0
"""From the first look-up to the last byte, redirects included."""
MAX_REDIRECTS = 3
PIECE = 2**16

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""An address of IPv4 in its last 32 bits (RFC 6052)."""
LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
"""Whoever runs a network chooses what is reached through it (RFC 8215)."""

IsPublic = Callable[[str], bool]


def is_public(address: str) -> bool:
    """It is reached over the internet and is nobody's own: neither private nor loopback, link-local, shared, multicast or reserved."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if parsed in NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if parsed in LOCAL_NAT64:
            return False
    return parsed.is_global and not parsed.is_multicast


def fetch_picture(url: str, hosts: Collection[str], param: str, public: IsPublic = is_public) -> bytes:
    """The file at an http or https URL.

    Args:
        hosts: names from which pictures may come; a name does not stand for its subdomains.
        param: the URL's place in the request.
        public: whether an address may be gone to.

    Raises:
        ApiError: the host is none of ``hosts``, its address is not public, or the file does not come whole within the limits.
    """
    until = time.monotonic() + SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        found = _get(_checked(url, hosts, param), param, public, until)
        if isinstance(found, bytes):
            return found
        url = urljoin(url, found)
    raise _refused(param, f"more than {MAX_REDIRECTS} redirects")


def _checked(url: str, hosts: Collection[str], param: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise _refused(param, f"not a URL ({error})") from error
    if parts.scheme not in ("http", "https") or parts.username is not None:
        raise _refused(param, "expected http:// or https://, without a name and password")
    if host not in hosts:
        raise _refused(param, f"this server fetches no pictures from {host!r}")
    if port not in (None, 80, 443):
        raise _refused(param, f"port {port}: only 80 and 443 are gone to")
    return parts


def _get(url: SplitResult, param: str, public: IsPublic, until: float) -> bytes | str:
    """The file, or where it is said to be now."""
    host = (url.hostname or "").rstrip(".")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _refused(param, f"{host} is not known ({error})") from error
    addresses = [str(one[4][0]) for one in found]
    if not addresses or not all(map(public, addresses)):
        raise _refused(param, f"{host} has an address that is not a public one")
    if url.scheme == "https":
        pool: HTTPConnectionPool = HTTPSConnectionPool(addresses[0], port, server_hostname=host, assert_hostname=host)
    else:
        pool = HTTPConnectionPool(addresses[0], port)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    named = host if url.port is None else f"{host}:{url.port}"
    try:
        with pool:
            answer = pool.request(
                "GET",
                path,
                headers={"Host": named, "Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "minigemini"},
                timeout=Timeout(total=_left(until)),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            if answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers:
                return answer.headers["location"]
            if answer.status != 200:
                raise _refused(param, f"{host} answered {answer.status}")
            data = bytearray()
            while piece := answer.read1(PIECE):
                data += piece
                _left(until)
                if len(data) > MAX_FILE:
                    raise _refused(param, f"the file at {host} is larger than {MAX_FILE:,} bytes")
            if int(answer.headers.get("content-length", len(data))) != len(data):
                raise _refused(param, f"{host} sent only {len(data):,} bytes")
    except (HTTPError, OSError, ValueError) as error:
        raise _refused(param, f"{host} sent no picture ({type(error).__name__})") from error
    return bytes(data)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _refused(param: str, reason: str) -> ApiError:
    return ApiError(400, f"{param}: {reason}", param=param, code="invalid_image_url")
