"""unseen study init | add-party | show | sign: how a study comes to its charter.

the coordinator  unseen study init study.toml                        charter.json: the terms
each party       unseen party init um --address ... --rows ...       um.member.toml goes to the coordinator
each researcher  unseen init ana                                     ana.member.toml likewise
the coordinator  unseen study add-party charter.json um.member.toml ...
each member      unseen study show charter.json, unseen study sign charter.json, and passes it on

One file, charter.json, from the first step to the last.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from engine import charter_draft as drafts
from engine import identity as identities
from engine.charter import Charter, Member
from engine.charter_draft import Draft
from engine.cli.output import print_json, print_text, say
from engine.errors import CharterError, ConfigError

CharterPath = Annotated[Path, typer.Argument(help="The charter file.")]


def init(
    study: Annotated[Path, typer.Argument(help="What the study agrees on: a TOML file, as examples/study.toml.")],
    out: Annotated[Path, typer.Option(help="Where to write the charter.")] = Path("charter.json"),
) -> None:
    """Begin a charter from a study's terms and its data dictionary. It has no members yet."""
    draft = drafts.begin(study)
    if out.exists():
        raise ConfigError(f"{out} exists; move it away, or write to another file with --out")
    drafts.write(out, draft)
    say(f"{out} holds the terms of {draft.terms.title!r}. Next: unseen study add-party {out} NAME.member.toml ...")


def add_party(
    charter: CharterPath,
    members: Annotated[list[Path], typer.Argument(help="Members' own files, NAME.member.toml.")],
) -> None:
    """Add members to a charter, or renew one of them. If that changes it, signatures given before are removed: it is another."""
    draft = before = drafts.read(charter)
    for path in members:
        draft = drafts.add(draft, drafts.read_card(path))
    if draft == before:
        say(f"{charter} holds these members as they are; it is unchanged, with the signatures it has.")
        return
    drafts.write(charter, draft)
    say(f"{charter}: {', '.join(f'{member.name} ({_roles(member)})' for member in draft.members)}.")
    if before.signatures:
        say("The signatures that it had are removed: every member signs again.")
    say(f"Every member signs it: unseen study sign {charter}" if _complete(draft) else f"Still to come: {_lacking(draft)}.")


def show(charter: CharterPath, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say in plain words what a charter agrees to, who takes part with which keys, and who has signed it."""
    draft = drafts.read(charter)
    complete = _complete(draft)
    if json:
        study = complete.id if complete else None
        print_json({"study": study, "charter": draft.document, "signed_by": list(draft.signed_by())})
    else:
        print_text(describe(draft))


def sign(
    charter: CharterPath,
    keys: Annotated[Path, typer.Option(help="The folder of your keys.")] = Path("keys"),
) -> None:
    """Sign a charter, after reading it (`unseen study show`)."""
    draft = drafts.sign(drafts.read(charter), identity := identities.owner(keys))
    drafts.write(charter, draft)
    say(f"Signed as {identity.name}: study {draft.complete().id}, {_signatures(draft)}.")


def describe(draft: Draft) -> str:
    """A charter in plain words."""
    terms, floors, complete = draft.terms, draft.terms.floors, _complete(draft)
    hospitals = [member for member in draft.members if "hospital" in member.roles]
    rows = ", ".join(f"{member.name} {member.rows}" for member in hospitals)
    lines = [
        terms.title,
        f"study      {complete.id if complete else 'not complete; to come: ' + _lacking(draft)}",
        f"hospitals  {', '.join(member.name for member in hospitals) or 'none yet'}",
        f"rows       {rows or 'none yet'}: at most so many in each table, and so many are shared where a question shares rows",
        f"compute    {', '.join(terms.compute)}: two of these together could read what is shared among them",
        f"asked by   {', '.join(m.name for m in draft.members if 'researcher' in m.roles) or 'nobody yet'}",
        f"analyses   {', '.join(terms.analyses)}; engines {', '.join(terms.engines)}",
        f"steps      {'allowed: coefficients may be opened to the parties after each step' if terms.steps else 'not allowed'}",
        f"floors     {floors.cohort} people in a cohort, {floors.cell} in a cell, {floors.hospitals} contributing hospitals, "
        f"{floors.residual_df} residual degrees of freedom, parameters at most {floors.parameters_share:.0%} of n",
        f"columns    {', '.join(terms.parsed_dictionary.columns)}",
        *(f"{'members' if i == 0 else '':<11}{_member(member)}" for i, member in enumerate(draft.members)),
        f"signatures {_signatures(draft)}",
    ]
    return "\n".join(lines)


def fingerprint(member: Member) -> str:
    """Sixteen hex digits of a member's key, for comparing over the telephone."""
    digits = hashlib.sha256(member.key_bytes).hexdigest()[:16]
    return " ".join(digits[i : i + 4] for i in range(0, 16, 4))


def _member(member: Member) -> str:
    until = x509.load_pem_x509_certificate(member.certificate.encode()).not_valid_after_utc
    where = f" at {member.address}" if member.address else ""
    return f"{member.name}: {_roles(member)}{where}, key {fingerprint(member)}, certificate until {until:%Y-%m-%d}"


def _roles(member: Member) -> str:
    return " and ".join(member.roles)


def _complete(draft: Draft) -> Charter | None:
    try:
        return draft.complete()
    except CharterError:
        return None


def _lacking(draft: Draft) -> str:
    """What keeps a draft from being a charter."""
    hospitals = sum("hospital" in member.roles for member in draft.members)
    few = f"{draft.terms.floors.hospitals - hospitals} more hospitals" if hospitals < draft.terms.floors.hospitals else ""
    return "; ".join(filter(None, [", ".join(draft.absent), few])) or "a change in its terms"


def _signatures(draft: Draft) -> str:
    signed = draft.signed_by()
    missing = [member.name for member in draft.members if member.name not in signed]
    return f"of {', '.join(signed) or 'nobody'}" + (f"; missing: {', '.join(missing)}" if missing else "; complete")
