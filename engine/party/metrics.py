"""Prometheus metrics of one daemon: how many jobs reached which state, how many links are up, how far the running session is. No
names, no data: how much of the own table was read is a share of it, in steps (progress.py)."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from engine.address import host_and_port
from engine.errors import ConfigError
from engine.party.progress import Progress


class Metrics:
    """Counted always, served where the configuration says so."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._jobs = Counter("unseen_job_states", "Jobs that reached a state", ["state"], registry=self.registry)
        self._links = Gauge("unseen_links", "Parties that this one has a link to", registry=self.registry)
        self._read = Gauge("unseen_session_read_percent", "Own table read by the running pass, 0 if none", registry=self.registry)
        self._sent = Gauge("unseen_session_sent_bytes", "Bytes sent to peers by the running session", registry=self.registry)
        self._server: Any = None

    def job(self, state: str) -> None:
        self._jobs.labels(state).inc()

    def links(self, count: int) -> None:
        self._links.set(count)

    def session(self, running: Progress | None) -> None:
        self._read.set(running.read or 0 if running else 0)
        self._sent.set(running.sent if running else 0)

    def serve(self, address: str) -> None:
        """Raises ConfigError when the address is none or not free."""
        host, port = host_and_port(address)
        try:
            self._server, _ = start_http_server(port, host, registry=self.registry)
        except OSError:
            raise ConfigError(
                f"cannot serve metrics on {address}: another program uses it, or it is no address of this machine"
            ) from None

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
