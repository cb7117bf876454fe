"""What a party's operator has decided beyond single jobs: whether it takes questions at all, and from whom no more.

    journal   {"kind": "paused", "on": true}
              {"kind": "revoked", "member": "ana", "on": true}

Rebuilt from the journal at a start, so both survive a restart. Changed by JobBook alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.party.journal import Record

PAUSED, REVOKED = "paused", "revoked"


@dataclass
class Standing:
    """As it stands now."""

    paused: bool = False
    revoked: set[str] = field(default_factory=set)  # researchers that this party serves no more

    def apply(self, record: Record) -> bool:
        """Take a record in; False when it is another kind."""
        if record["kind"] == PAUSED:
            self.paused = record["on"]
        elif record["kind"] == REVOKED:
            change = self.revoked.add if record["on"] else self.revoked.discard
            change(record["member"])
        else:
            return False
        return True
