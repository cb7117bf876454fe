"""What can go wrong in the daemon alone.

UnseenError
|-- IllegalTransition        a job was asked to do what its state does not allow: a bug, caught before anything is written
|-- StorageFailed            the disk did not take a record: the act that it would have allowed does not happen
|-- JournalCorrupt           a stored record is not what was written: the daemon does not start on it
|-- TooMany                  a researcher has as many open questions here as one may have
`-- AuditCorrupt             the audit log was altered, reordered or cut
"""

from native.errors import UnseenError


class IllegalTransition(UnseenError):
    """The state table holds no such step."""


class TooMany(UnseenError):
    """Too many open questions of one researcher."""


class StorageFailed(UnseenError):
    """A record could not be made durable (disk full, or failing)."""


class JournalCorrupt(UnseenError):
    """The journal was changed after it was written. Restore the state folder from a backup; never delete the journal alone."""


class AuditCorrupt(UnseenError):
    """The audit log does not follow from its own beginning."""
