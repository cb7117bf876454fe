"""A wide-area network on loopback: TCP relays that hold every byte for half a round trip in each direction.

    python -m benchmarks.delay SECONDS LISTEN:TARGET ...      prints `ready`, ends when its stdin closes

A delay line, not stop-and-wait: what has come in is sent on when its own moment has come, whatever is still on its way, so that
bandwidth stays what it was, up to IN_FLIGHT bytes a direction. Loss, slow start and limited bandwidth are not simulated. The
relays need CPU time of their own, about as much a byte as a plain socket.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

CHUNK = 1 << 18
IN_FLIGHT = 1 << 28  # bytes that one direction of a connection holds at most


class Relays:
    """The relays {port to listen on: port to pass on to} as a process of their own, while inside."""

    def __init__(self, rtt_ms: float, ports: Mapping[int, int]) -> None:
        self._arguments = [str(rtt_ms / 2000), *(f"{listen}:{target}" for listen, target in ports.items())]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Relays:
        command = [sys.executable, "-m", "benchmarks.delay", *self._arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError("the relays that delay a round do not come up; is a port taken?")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            self._process.wait()
            self._process = None


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """One direction, from the first byte to the end of the stream."""
    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    held = 0
    room = asyncio.Event()
    room.set()

    async def take_in() -> None:
        nonlocal held
        while True:
            await room.wait()
            data = await reader.read(CHUNK)
            held += len(data)
            if held >= IN_FLIGHT:
                room.clear()
            line.put_nowait((time.monotonic() + seconds, data))
            if not data:
                return

    async def give_out() -> None:
        nonlocal held
        while True:
            due, data = await line.get()
            early = due - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
            if not data:
                return
            writer.write(data)
            await writer.drain()
            held -= len(data)
            room.set()

    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(take_in())
            both.create_task(give_out())
    except* OSError:
        pass  # one end was reset; the other learns of it
    with suppress(OSError):
        writer.write_eof()  # the other direction may go on


async def _serve(seconds: float, ports: Mapping[int, int]) -> None:
    async def relay(target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", target, limit=CHUNK)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, onward_writer, seconds), _pass_on(onward_reader, writer, seconds))
        for end in (writer, onward_writer):
            end.close()

    for listen, target in ports.items():
        await asyncio.start_server(partial(relay, target), "127.0.0.1", listen, limit=CHUNK)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    pairs = (pair.split(":") for pair in sys.argv[2:])
    asyncio.run(_serve(float(sys.argv[1]), {int(listen): int(target) for listen, target in pairs}))
