"""IP addresses of callers: one form for each, whatever a dual-stack socket or a gateway makes of it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: IPv4 addresses behind a NAT64 gateway


def canonical(host: str) -> str:
    """The address in its shortest form; an IPv4 address out of an IPv4-mapped, NAT64 or 6to4 IPv6 address.

    What is no address stays as it is.
    """
    address = _parse(host)
    return host if address is None else str(address)


def network(host: str) -> str:
    """The network that a caller is counted by: an IPv4 address, or the /64 that an IPv6 user owns."""
    address = _parse(host)
    if address is None:
        return host
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


def _parse(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])  # without the zone of a link-local address
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour is not None:
            return address.sixtofour
    return address
