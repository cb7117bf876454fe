"""Every exception unseen raises.

UnseenError
|-- KernelsNotBuilt, KernelInputError        native: the extension is missing; an array of the wrong kind
|-- ProtocolError                            protocols: the session is aborted, nothing is released
|   |-- PeerMisbehaved                       a frame that the plan does not hold
|   |-- PeerLost                             a link closed, silence past the deadline, an abort
|   |-- RangeError, MisuseError              local misuse of an engine
|   |-- ValueRangeError                      a hospital's own value breaks its declared limit
|   |-- EncryptionError                      of ciphertexts and keys
|   |   |-- ParameterError, KeyMismatch, LevelExhausted, ScaleMismatch
|   |   `-- CiphertextMalformed, PlaintextOutOfRange
|   `-- SecurityBudgetExceeded
|-- SpecError                                the question is wrong in itself; mend it and ask again
|   |-- FormulaError, CohortError            syntax, unknown function, column or level
|   `-- UnknownColumn, UnknownLevel
|-- ConfigError                              a file of this member (config, dictionary, charter) is wrong
|   |-- DictionaryError
|   `-- CharterError
|-- DataError                                a hospital's own data cannot be read or do not fit (told to that hospital only)
|   `-- DataChanged                          somebody wrote to them while they were being read
|-- SignatureInvalid                         a signature does not verify over the exact bytes
|-- NotAuthorised                            not a member, or not a member who may do this
|-- Expired                                  the spec's time is over
|-- Paused                                   a party takes no new questions at the moment, or has no room for them
|-- Refused                                  a hospital or the gate said no
|   |-- RefusedByPolicy                      a hospital's operator or policy rejected the question (says who)
|   |-- PlanRefused                          one question of a plan was refused, and so is the plan (says which)
|   `-- RefusedByDisclosureRules             the one refusal text, whatever failed
|-- NotEstimable                             the pooled data do not determine the answer (collinear, separated)
|-- JobAborted                               a party was lost or failed; nothing was released; ask again
|-- Unreachable                              a party does not answer
|   `-- RelayError                           the relay before it does not answer, or cannot lead there (engine/relay/words.py)
|-- OtherVersion                             a party speaks another version of the protocol: nothing starts
|-- ResultTimeout                            no result yet; the job goes on
|-- ReceiptInvalid                           the receipts of the parties do not verify or do not agree
`-- of one daemon: IllegalTransition, StorageFailed, JournalCorrupt, AuditCorrupt, TooMany   (engine/party/errors.py)
"""

from native.errors import UnseenError

REFUSAL = (
    "The disclosure rules do not allow this answer: some group of people behind it is too small, or it differs by a few people "
    "from an answer given before. Ask about more people, with fewer columns or levels, or pin one analysis set for all your "
    "questions with complete=[columns]."
)


class SpecError(UnseenError, ValueError):
    """The question is wrong in itself, whatever the data: mend it and ask again."""


class FormulaError(SpecError):
    """The formula does not parse, or asks for something that is not allowed."""


class CohortError(SpecError):
    """The `where` expression does not parse, or asks for something that is not allowed."""


class UnknownColumn(SpecError):
    """The data dictionary has no such column."""


class UnknownLevel(SpecError):
    """The data dictionary has no such level of this column."""


class ConfigError(UnseenError, ValueError):
    """A file of this member is wrong: unknown key, missing key, wrong value."""


class DictionaryError(ConfigError):
    """The data dictionary is wrong."""


class CharterError(ConfigError):
    """The charter is wrong or not signed by all its members."""


class DataError(UnseenError):
    """A hospital's own data cannot be read or do not fit the dictionary. Told to that hospital only."""


class DataChanged(DataError):
    """Somebody wrote to a hospital's own data while they were being read. Its log knows an error by its class alone."""


class SignatureInvalid(UnseenError):
    """A signature does not verify over the exact bytes."""


class NotAuthorised(UnseenError):
    """Not a member of the charter, or not one who may do this."""


class Expired(UnseenError):
    """The spec's time is over: submit it again with a new expiry."""


class Paused(UnseenError):
    """A party takes no new questions at the moment, or has no room for them: send the same spec again later."""


class Refused(UnseenError):
    """A hospital or the gate said no."""


class RefusedByPolicy(Refused):
    """A hospital's operator or its policy rejected the question."""


class RefusedByDisclosureRules(Refused):
    """Something behind the answer is too small. One text, whatever failed and by how much."""

    def __init__(self) -> None:
        super().__init__(REFUSAL)


class PlanRefused(Refused):
    """A question of a plan was refused, and so is the plan. `question` counts from 1; `reason` is what it had met alone."""

    def __init__(self, question: int, reason: UnseenError) -> None:
        super().__init__(f"Question {question} of the plan was refused, so none of it was asked. {reason}")
        self.question, self.reason = question, reason


class NotEstimable(UnseenError):
    """The pooled data do not determine the answer: collinear columns, perfect separation, no convergence."""


class JobAborted(UnseenError):
    """A party was lost or failed in the middle; nothing was released. Ask again: a new session takes fresh keys."""


class Unreachable(UnseenError):
    """A party does not answer at its address."""


class OtherVersion(UnseenError):
    """A party speaks another version of the protocol than this program: agree on one version of unseen."""


class ResultTimeout(UnseenError, TimeoutError):
    """No result yet. The job goes on; fetch it later."""


class ReceiptInvalid(UnseenError):
    """The parties' receipts do not verify, or do not agree with each other."""


_TREE = [name for name, kind in list(globals().items()) if isinstance(kind, type) and issubclass(kind, UnseenError)]
__all__ = ["REFUSAL", *_TREE]
