"""What parties tell each other about a job outside its session: one word, signed.

    approved    this party agrees to the question
    start       the first compute party: all have agreed, open the session now
    charged     this party has stored its part of the answer, which counts from now on
    released    as charged; asks for no reply
    a reason    the job has ended here; a key of jobs.REASONS

A notice is signed with the member's Ed25519 key in the domain "unseen notice v1" over job, verdict and member. It is bound to
one job, whose id covers a nonce, and every notice may safely be repeated.
"""

from __future__ import annotations

from engine import canonical
from engine.charter import Charter
from engine.errors import SignatureInvalid
from engine.identity import Identity
from engine.party.jobs import REASONS
from engine.wire.v1.party_link_pb2 import JobNotice

DOMAIN = "unseen notice v1"
APPROVED, START, CHARGED, RELEASED = "approved", "start", "charged", "released"
VERDICTS = frozenset({APPROVED, START, CHARGED, RELEASED, *REASONS})


def sign(identity: Identity, job: str, verdict: str) -> JobNotice:
    signature = canonical.sign(identity.signing_key, DOMAIN, _signed_bytes(job, verdict, identity.name))
    return JobNotice(job=bytes.fromhex(job), verdict=verdict, signature=signature)


def verify(charter: Charter, member: str, notice: JobNotice) -> tuple[str, str]:
    """Job and verdict of a notice that `member` signed. Raises SignatureInvalid, NotAuthorised."""
    job, verdict = notice.job.hex(), notice.verdict
    canonical.verify(charter.member(member).key_bytes, DOMAIN, _signed_bytes(job, verdict, member), notice.signature)
    if verdict not in VERDICTS:
        raise SignatureInvalid("a notice holds a verdict that this version does not know; let all parties run the same version")
    return job, verdict


def _signed_bytes(job: str, verdict: str, member: str) -> bytes:
    return canonical.to_bytes({"job": job, "member": member, "verdict": verdict})
