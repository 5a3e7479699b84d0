"""Which places a scan may read from, and which addresses of the web anybody may reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Beside what ipaddress knows, which differs between its versions.
_NEVER = (
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's wire server
)
_IPV6_IN_USE = ipaddress.ip_network("2000::/3")  # all that is given to anybody for unicast


def _addresses_within(address: IpAddress) -> Iterator[IpAddress]:
    if isinstance(address, ipaddress.IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address
        yield from filter(None, (address.sixtofour, *(address.teredo or ())))


@dataclass(frozen=True, slots=True)
class Access:
    """Which places a scan may read from.

    With ``allow_http``, ``http://`` and ``https://`` URLs are fetched. ``roots`` are the folders,
    and the beginnings of URLs of object stores, where the paths in tables begin, and where tables
    may name images; without folders, the table's own and those that are sources. The prefix of a
    table in a store, and those that are sources, are always among them.
    """

    allow_http: bool = False
    roots: tuple[str, ...] = ()

    def refusal(self, address: IpAddress, port: int) -> str | None:
        """Return why an address may not be connected to; None if anybody can reach it, by the web.

        An IPv6 address that stands for an IPv4 one is judged by that.
        """
        if port not in PORTS.values():
            return f"port {port} is neither 80 nor 443"
        for inner in _addresses_within(address):
            is_public = inner.is_global and not (inner.is_multicast or inner.is_reserved)
            if inner.version == 6:
                is_public = is_public and inner in _IPV6_IN_USE
            if not is_public or any(inner in network for network in _NEVER):
                return f"{address} is not a public address"
        return None
