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


class EncryptionError(ProtocolError):
    """Something about a ciphertext, a key or their parameters is wrong."""


class ParameterError(EncryptionError, ValueError):
    """Ring and modulus are not in the security table, or a preset does not hold together: take one of protocols.ckks."""


class KeyMismatch(EncryptionError):
    """Two things belong to different keys or parameters, or the key for this operation is not there."""


class LevelExhausted(EncryptionError):
    """No level is left for this product, or the value has outgrown the modulus at its level: encrypt again, or start higher."""


class ScaleMismatch(EncryptionError):
    """Two terms have different scales: encode or rescale one of them to the other's."""


class CiphertextMalformed(EncryptionError, ValueError):
    """Bytes that are no ciphertext or key of these parameters: truncated, altered, or of another version."""


class PlaintextOutOfRange(EncryptionError, ValueError):
    """A vector with NaN, infinity, or a number beyond its declared bound or its scale's range."""
