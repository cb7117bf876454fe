"""Where a party is reached: HOST:PORT of its daemon, or relay://HOST:PORT, the relay to which it keeps lines."""

from __future__ import annotations

import re

from engine.errors import ConfigError

SCHEME = "relay://"
_RELAY = re.compile(r"relay://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


def relay_of(address: str | None) -> tuple[str, int] | None:
    """Host and port of the relay that an address names; None for a daemon's own address. Raises ConfigError."""
    if address is None or not address.startswith(SCHEME):
        return None
    match = _RELAY.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise ConfigError("the address of a party behind a relay is relay://HOST:PORT, e.g. relay://relay.example.org:7444")
    return match["host"].strip("[]"), int(match["port"])
