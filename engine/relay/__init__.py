"""For parties that may not accept connections: a relay that both sides dial, which passes their TLS bytes on.

    dialler (gRPC) -> door (doors.py) -> relay (server.py) <- reception (reception.py) -> the party's own daemon on loopback

A member whose address in the charter is relay://HOST:PORT keeps a few lines open to that relay; whoever wants to reach it asks
the relay for it, which joins the two lines and copies bytes. The bytes are the members' own mutual TLS, pinned from end to end:
the relay sees who is joined with whom, when, and how much; it cannot read, alter or answer in anybody's place. Read in this
order: words (what is said before the bytes), line (one connection, and how two are joined), server, caller, doors, reception.

Why the address and not a key of every configuration: it is stated once, by the party that cannot listen, when it joins the study,
and all others, researchers too, dial what the charter says, as ever.
"""
