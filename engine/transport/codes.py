"""The limits of the wire, and the reasons for which a link is closed or a session aborted.

Reasons are codes, never free text: what one party tells another about a failure can carry no data. The limits bound what
one peer can make this process hold: WINDOW for each session, HELD_HELLOS for sessions not opened here yet, CONTROL_LIMIT
messages that a slow peer has not taken.
"""

from __future__ import annotations

from enum import StrEnum

PROTOCOL_VERSION = 1

CHUNK = 1 << 20  # bytes of payload in one frame
FRAME_OVERHEAD = 256  # what a frame counts for beside its payload, so that empty frames are not free
WINDOW = 8 << 20  # bytes under way from one member to another in one session, sent and not yet taken
MESSAGE_LIMIT = 4 << 20  # bytes of one gRPC message, payload and header; anything larger ends the stream
KIND_LIMIT = 128  # characters of a frame's kind
RANK_LIMIT = 8  # dimensions of an array
REMEMBERED_FRAMES = 256  # fingerprints kept to tell an identical duplicate from a differing one
HELD_HELLOS = 16  # sessions that a peer may announce before they are opened here
KEPT_NOTICES = 1024  # jobs whose last notice is sent again when a peer reconnects
CONTROL_LIMIT = 4096  # small messages waiting for one peer; beyond it the link is closed
GREETING_DEADLINE = 5.0  # seconds for the first message of a stream
FAREWELL_DEADLINE = 1.0  # seconds for the last ones


class AbortCode(StrEnum):
    """Why a session ended early."""

    PEER_LOST = "peer-lost"  # a link closed
    SILENT = "silent"  # no sign of life past the round deadline
    MISBEHAVED = "misbehaved"  # a frame, hello or credit that the plan does not hold
    NOT_OPENED = "not-opened"  # the members did not all open the session in time
    LOCAL_FAILURE = "local-failure"  # a member's own computation failed
    REFUSED = "refused"  # a member refuses to go on
    STOPPING = "stopping"  # a daemon shuts down
    UNKNOWN = "unknown"  # a code that this version does not know

    @classmethod
    def _missing_(cls, value: object) -> AbortCode:
        return cls.UNKNOWN


class LinkCode(StrEnum):
    """Why there is no link to a peer; `status` and `doctor` print it."""

    NEVER = "never-connected"
    UNREACHABLE = "unreachable"  # no answer at the address, or TLS refused: address, firewall, certificates
    CERTIFICATE = "certificate-expired"  # this member's or the peer's certificate is not valid today
    NOT_AUTHORISED = "not-authorised"  # the peer does not take this member's connection
    OTHER_VERSION = "other-version"  # the peer speaks another version of this protocol
    OTHER_CHARTER = "other-charter"  # the peer serves another study, or another edition of the charter
    NO_GREETING = "no-greeting"  # the stream opened but no valid first message came in time
    MALFORMED = "malformed"  # the peer sent bytes that are no message
    SLOW = "slow"  # the peer takes nothing
    REPLACED = "replaced"  # the peer opened a newer stream
    CLOSED = "closed"  # the peer closed the stream, or the network did
    RELAY = "relay-unreachable"  # the relay through which the peer is reached does not answer
    RELAY_REFUSES = "relay-refuses"  # the relay does not take this member's key, or has no room
    NOT_AT_RELAY = "not-at-relay"  # the relay answers, and the peer has no line to it
    STOPPED = "stopped"  # this daemon stops
