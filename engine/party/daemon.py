"""One party's daemon: its folder, its two servers, its links, started and stopped in order.

    port      mutual TLS: PartyLink for the other parties, Jobs for researchers, the standard health service
    socket    state/admin.sock: Admin for the operator; the folder is private to the daemon's user, and so is the socket
    folder    state/: lock, journal, audit.jsonl, jobs/, digest.key

Started means: the folder is locked, the journal replayed, both servers listen. Links come and go afterwards; jobs wait for them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from engine.address import relay_of
from engine.data.rows import DataSource
from engine.errors import ConfigError, DataError
from engine.party import metrics, own_table, runner
from engine.party.admin_service import AdminService
from engine.party.audit import AuditLog
from engine.party.book import Job, JobBook
from engine.party.config import PartyConfig
from engine.party.flow import Flow
from engine.party.jobs_service import JobsService
from engine.party.journal import Journal
from engine.party.links import Links
from engine.party.log import Log
from engine.party.sitting import Run, Seat
from engine.party.store import Store, write_atomically
from engine.relay.caller import Caller
from engine.relay.reception import Reception
from engine.transport.credentials import SERVER_OPTIONS, server_credentials
from engine.wire.v1.admin_pb2_grpc import add_AdminServicer_to_server
from engine.wire.v1.jobs_pb2_grpc import add_JobsServicer_to_server

TICK = 1.0  # seconds
GRACE = 1.0  # seconds for calls that are being answered when the daemon stops
SOCKET_PATH_LIMIT = 107  # bytes, of the kernel's 108 with an end
JOBS, LINKS = "engine.wire.v1.Jobs", "engine.wire.v1.PartyLink"
_SERVING, _NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def utc_now() -> datetime:
    return datetime.now(UTC)


class Daemon:
    """`start`, then `stop`, once. `source` is None at a party without data."""

    def __init__(
        self,
        config: PartyConfig,
        source: DataSource | None,
        *,
        digest_key: bytes,
        log: Log,
        run: Run = runner.run,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config, self._log, self._clock = config, log, clock
        self._seat = Seat(run, config.floors, config.policy.steps, source, digest_key, clock)
        self._health = health.HealthServicer()
        self._metrics = metrics.Metrics()

    async def start(self) -> None:
        """Raises ConfigError (folder in use, address not free), JournalCorrupt, AuditCorrupt, StorageFailed."""
        config = self.config
        if len(os.fsencode(config.socket)) > SOCKET_PATH_LIMIT:
            raise ConfigError(
                f"the path of the state folder is longer than a socket's may be ({SOCKET_PATH_LIMIT} bytes); choose a shorter one"
            )
        self._lock = lock(config.state)
        self._journal = Journal(config.state / "journal")
        self._audit = AuditLog(config.state / "audit.jsonl", clock=self._clock)
        book = JobBook(self._journal, Store(config.state / "jobs"), self._audit, clock=self._clock)
        book.on_change = self._changed
        self.links = Links(config.identity, config.charter)
        self.flow = Flow(config, book, self.links, self._seat, self._log)
        self.links.on_notice = self.flow.on_notice
        self._server = await self._listen()
        self._admin = await self._listen_admin()
        if config.metrics:
            self._metrics.serve(config.metrics)
        self._reception = self._behind_relay()
        await self.links.start()
        self.flow.recover()
        self._audit.append("started")
        self._ticker = asyncio.create_task(self._tick_forever())
        for service in ("", JOBS):
            await self._health.set(service, _SERVING)
        self._log.info("started", address=config.listen)
        self._table_check = asyncio.create_task(self._check_table())

    async def drain(self, seconds: float) -> None:
        """Take no new questions and begin none; return when what runs has ended, or after so many seconds. `stop` comes next."""
        self._log.info("draining")
        await self._health.enter_graceful_shutdown()
        await self.flow.drain(seconds)

    async def stop(self) -> None:
        """Take no new work, abort what runs everywhere, close the links, end the calls."""
        self._log.info("stopping")
        await self._health.enter_graceful_shutdown()
        self._ticker.cancel()
        self._table_check.cancel()
        await self.flow.stop()
        await self.links.stop()
        await asyncio.gather(self._server.stop(GRACE), self._admin.stop(GRACE))
        if self._reception is not None:
            await self._reception.stop()
        self._metrics.stop()
        self._audit.append("stopped")
        self._audit.close()
        self._journal.close()
        os.close(self._lock)
        self._log.info("stopped")

    def _changed(self, job: Job) -> None:
        self._log.info("job", job=job.id, state=job.state, code=job.code, by=job.by, member=job.researcher)
        self._metrics.job(job.state)

    async def _check_table(self) -> None:
        """A table that has outgrown the charter makes refusals that say nothing of it; the log names it, without a count."""
        try:
            table = await asyncio.to_thread(own_table.count, self._seat.source, self.config)
            if table and table.outgrown:
                self._log.warning(
                    "the own table has more rows than the charter declares for it; `unseen party status` says what to do",
                    member=self.config.name,
                )
        except DataError as error:
            self._log.failure("the own table cannot be counted", error)

    def _behind_relay(self) -> Reception | None:
        """Lines to the relay that the own address in the charter names, where it names one."""
        charter, identity = self.config.charter, self.config.identity
        relay = relay_of(charter.member(identity.name).address)
        if relay is None:
            return None
        reception = Reception(Caller(identity, charter.id, relay), self.config.listen)
        reception.start()
        return reception

    async def _listen(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=SERVER_OPTIONS)
        self.links.add_to(server)
        add_JobsServicer_to_server(JobsService(self.flow, self._log), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        try:
            bound = server.add_secure_port(self.config.listen, server_credentials(self.config.identity, self.config.charter))
        except RuntimeError:
            bound = 0
        if not bound:
            raise ConfigError(
                f"cannot listen on {self.config.listen}: another program uses it, or it is no address of this machine"
            )
        await server.start()
        return server

    async def _listen_admin(self) -> grpc.aio.Server:
        path = self.config.socket
        server = grpc.aio.server()
        add_AdminServicer_to_server(AdminService(self.flow, self._log), server)
        before = os.umask(0o177)
        try:
            server.add_insecure_port(f"unix:{path}")
            await server.start()
        finally:
            os.umask(before)
        path.chmod(0o600)
        return server

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            await self.tick()

    async def tick(self) -> None:
        """What is done once a second. Never raises: one bad job must not stop the clock for all."""
        try:
            self.flow.tick()
            linked = len(self.links.connected()) == len(self.config.charter.parties) - 1
            self._metrics.links(len(self.links.connected()))
            self._metrics.session(self.flow.running())
            await self._health.set(LINKS, _SERVING if linked else _NOT_SERVING)
        except Exception as error:
            self._log.failure("tick failed", error)


def lock(state: Path) -> int:
    """Hold the state folder for this process alone. Raises ConfigError."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        state.chmod(0o700)
        handle = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            "another daemon uses this state folder; stop it first, or give each party a folder of its own"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the state folder cannot be used ({error.strerror}); give `state` a folder that the daemon may write"
        ) from None
    return handle


def digest_key(state: Path) -> bytes:
    """This hospital's key for digests of rows and snapshots: made once, never leaves the folder. Raises ConfigError."""
    path = state / "digest.key"
    try:
        if not path.exists():
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(path, secrets.token_bytes(32))
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"digest.key of the state folder cannot be used ({error.strerror})") from None
    if len(key) != 32:
        raise ConfigError(
            "digest.key of the state folder is damaged; restore it from a backup: earlier answers were compared under it"
        )
    return key
