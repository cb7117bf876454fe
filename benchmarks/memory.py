"""What the operating system counted for a process: peak memory, CPU seconds, and the bytes of its TCP connections. Linux.

Bytes come from the kernel's TCP_INFO of every connection, asked for through sock_diag (what `ss -ti` shows), so that other
traffic on the machine does not count: TLS records, HTTP/2 and gRPC framing included, IP and TCP headers not. No privilege is
needed.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def reset_peak(pid: int | str = "self") -> None:
    """VmHWM counts from what is resident now on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def peak_mib(pid: int | str = "self") -> float:
    """VmHWM in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def cpu_seconds(pid: int | str) -> float:
    """User and system time of a process and all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


# -- TCP: linux/inet_diag.h, linux/tcp.h -----------------------------------------------------------------------------------------

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLMSG_DONE, REQUEST_DUMP = 4, 20, 3, 0x301
INET_DIAG_INFO = 2
HEADER, MESSAGE = 16, 72  # bytes of nlmsghdr and inet_diag_msg
PORTS_AT, INODE_AT, SENT_AT = 4, 68, 200  # in inet_diag_msg, and tcpi_bytes_sent in tcp_info
ESTABLISHED = 1 << 1


@dataclass(frozen=True)
class Connection:
    """One end of an established TCP connection on this machine."""

    port: int
    peer_port: int
    inode: int
    sent: int


def connections() -> list[Connection]:
    """Every established connection's own end. Raises OSError where the kernel has no sock_diag."""
    return [one for family in (socket.AF_INET, socket.AF_INET6) for one in _dump(family)]


def sent_between(pids: dict[str, int]) -> dict[str, int]:
    """Bytes that each process has sent so far over its connections that do not end in this process (the researcher's)."""
    found = connections()
    mine = _sockets(os.getpid())
    own_ports = {one.port for one in found if one.inode in mine}
    return {name: _sent(pid, [one for one in found if one.peer_port not in own_ports]) for name, pid in pids.items()}


def sent_by_me() -> int:
    """Bytes that this process has sent so far over the connections that it still has."""
    return _sent(os.getpid(), connections())


def _sent(pid: int, among: list[Connection]) -> int:
    sockets = _sockets(pid)
    return sum(one.sent for one in among if one.inode in sockets)


def _sockets(pid: int) -> set[int]:
    """The inodes of a process' sockets."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            match = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
            if match:
                inodes.add(int(match[1]))
    return inodes


def _dump(family: int) -> Iterator[Connection]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as link:
        link.settimeout(5.0)
        query = struct.pack("<BBBBI48s", family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0, ESTABLISHED, b"")
        link.send(struct.pack("<IHHII", HEADER + len(query), SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0) + query)
        while True:
            data, at = link.recv(1 << 18), 0
            while at < len(data):
                length, kind = struct.unpack_from("<IH", data, at)
                if kind == NLMSG_DONE:
                    return
                if kind != SOCK_DIAG_BY_FAMILY:
                    raise OSError("the kernel does not list its TCP connections")
                yield _connection(data[at + HEADER : at + length])
                at += (length + 3) & ~3


def _connection(message: bytes) -> Connection:
    port, peer_port = struct.unpack_from(">HH", message, PORTS_AT)
    (inode,) = struct.unpack_from("<I", message, INODE_AT)
    sent, at = 0, MESSAGE
    while at < len(message):
        length, kind = struct.unpack_from("<HH", message, at)
        if kind == INET_DIAG_INFO and length >= 4 + SENT_AT + 8:
            (sent,) = struct.unpack_from("<Q", message, at + 4 + SENT_AT)
        at += (length + 3) & ~3
    return Connection(port, peer_port, inode, sent)
