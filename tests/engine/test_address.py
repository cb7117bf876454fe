"""Addresses: HOST:PORT, with or without a relay, and what is neither."""

from pathlib import Path

import pytest

from engine.address import host_and_port, relay_of
from engine.errors import ConfigError
from tests.engine.party.party_study import make_charter, make_keys


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("um.example.org:7443", "um.example.org", 7443),
        ("192.0.2.1:65535", "192.0.2.1", 65535),
        ("[2001:db8::1]:7443", "2001:db8::1", 7443),
        ("127.0.0.1:0", "127.0.0.1", 0),
    ],
)
def test_host_and_port(address, host, port):
    assert host_and_port(address) == (host, port)


@pytest.mark.parametrize(
    "address",
    ["", "um", "7443", "um:", ":7443", "um:port", "um:65536", "um:1\n", "u m:1", "::1:7443", "[um]:1", "um/x:1"],
)
def test_what_is_no_host_and_port(address):
    with pytest.raises(ConfigError, match="HOST:PORT"):
        host_and_port(address)


@pytest.mark.parametrize(
    ("address", "relay"),
    [
        (None, None),
        ("um.example.org:7443", None),
        ("relay://relay.example.org:7444", ("relay.example.org", 7444)),
        ("relay://[::1]:7444", ("::1", 7444)),
    ],
)
def test_an_address_names_a_relay_or_none(address, relay):
    assert relay_of(address) == relay


@pytest.mark.parametrize(
    "address", ["relay://", "relay://host", "relay://host:0", "relay://host:65536", "relay://host:1/um", "relay://:1"]
)
def test_an_address_that_is_half_a_relays_is_wrong_in_a_charter_too(tmp_path: Path, address):
    keys = make_keys(tmp_path)
    with pytest.raises(ConfigError, match="relay://HOST:PORT"):
        relay_of(address)
    with pytest.raises(ConfigError, match="relay://HOST:PORT"):
        make_charter(keys, members=[m | {"address": address} for m in make_charter(keys).model_dump(mode="json")["members"]])
