"""Where something is reached: HOST:PORT of a server, or relay://HOST:PORT, the relay to which a party keeps lines."""

from __future__ import annotations

import re

from engine.errors import ConfigError

SCHEME = "relay://"
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


def host_and_port(address: str) -> tuple[str, int]:
    """Host, an IPv6 address without its brackets, and port; 0 is any free one, where one listens. Raises ConfigError."""
    match = _PLACE.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"{address!r} is not HOST:PORT, e.g. um.example.org:7443 or [::1]:7443")
    return match["host"].strip("[]"), int(match["port"])


def relay_of(address: str | None) -> tuple[str, int] | None:
    """Host and port of the relay that an address names; None for a daemon's own address. Raises ConfigError."""
    if address is None or not address.startswith(SCHEME):
        return None
    try:
        host, port = host_and_port(address.removeprefix(SCHEME))
    except ConfigError:
        port = 0
    if not port:
        raise ConfigError("the address of a party behind a relay is relay://HOST:PORT, e.g. relay://relay.example.org:7444")
    return host, port
