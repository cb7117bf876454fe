"""What can go wrong inside a protocol. Drawn together with the rest in engine/errors.py."""

from native.errors import UnseenError


class ProtocolError(UnseenError):
    """A session cannot go on. It is aborted everywhere and nothing is released."""


class PeerMisbehaved(ProtocolError):
    """A peer sent what the plan does not hold: wrong kind, dtype, shape, count, or a frame of another session."""


class PeerLost(ProtocolError):
    """A peer closed its link, fell silent past the round deadline, or aborted the session."""


class RangeError(ProtocolError):
    """The plan cannot prove that a value stays inside its ring (local misuse: widen the ring or add a clamp)."""


class SecurityBudgetExceeded(ProtocolError):
    """The masked openings of this job would reveal more than 2^-40 in total."""


class MisuseError(ProtocolError):
    """A verb was called with values of another engine, shape or scale (local misuse)."""


class ValueRangeError(ProtocolError):
    """This hospital's own value is not a number within its declared limit: the data dictionary or the data are wrong."""
