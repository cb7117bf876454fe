"""A party in a process of its own, for tests that kill it: opens one session, exchanges rounds for ever. Run by test_faults.py.

Arguments: name, keys folder, port, address of every party and the deadline, as JSON. Prints a line a round.
"""

import asyncio
import json
import sys
from pathlib import Path

import grpc
import numpy as np

from engine import identity
from engine.transport import credentials
from engine.transport.mesh import Mesh
from protocols.session import Expect
from tests.engine.transport.studies import make_charter


def rounds(link):
    session = link.session()
    others = [i for i in range(len(session.members)) if i != session.me]
    while True:
        send = {i: np.zeros(8, "u1") for i in others}
        session.exchange("x", send, {i: Expect(np.dtype("u1"), (8,)) for i in others})
        print("round", flush=True)


async def main(name, folder, addresses, deadline):
    everybody = {member: identity.load(member, Path(folder) / member) for member in (*addresses, "rosa")}
    charter = make_charter(everybody, addresses, deadline)
    server = grpc.aio.server(options=credentials.SERVER_OPTIONS)
    server.add_secure_port(addresses[name], credentials.server_credentials(everybody[name], charter))
    mesh = Mesh(everybody[name], charter, on_notice=lambda *_: None)
    mesh.add_to(server)
    await server.start()
    await mesh.start()
    await mesh.wait_connected(20)
    link = await mesh.open_session(b"j" * 32, 1, 20)
    await asyncio.to_thread(rounds, link)


if __name__ == "__main__":
    asyncio.run(main(*json.loads(sys.argv[1])))
