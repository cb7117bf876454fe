"""hospital.toml: everything a party's operator decides. Unknown keys are errors; paths are relative to the file.

[party]
name = "um"                      # as the charter calls this member
charter = "charter.json"         # the agreement that all members signed
keys = "keys"                    # the folder that `unseen party init` made
state = "state"                  # jobs, journal, audit log, admin socket: private to the daemon, to be backed up
listen = "0.0.0.0:7443"          # where the others reach this party
metrics = "127.0.0.1:9464"       # optional: Prometheus metrics, without data
log_level = "info"               # optional: debug, info, warning, error

[policy]
approve = "by-hand"              # or "automatic": questions that a rule below covers need no operator
steps = false                    # allow questions that open coefficients to the parties after each step
share_rows = true                # allow questions for which rows, not sums alone, are shared among the three compute parties

[[policy.automatic]]
researcher = "ana"
analyses = ["describe", "ols"]   # or ["*"]
columns = ["age", "indo"]        # or ["*"]; every column that a question touches must be listed, those of `where` too

[policy.floors]                  # optional: stricter than the charter's; a laxer one has no effect
cohort = 20

[data]                           # hospitals only: how the own tables map to the study's dictionary
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine import charter as charters
from engine import identity as identities
from engine.address import host_and_port
from engine.charter import Charter, Floors
from engine.errors import ConfigError, NotAuthorised
from engine.identity import Identity
from engine.toml_file import read_toml

ANY = ["*"]


def _address(value: str) -> str:
    host_and_port(value)
    return value


Address = Annotated[str, AfterValidator(_address)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PartySection(_Section):
    """[party]"""

    name: str
    charter: str
    keys: str
    state: str
    listen: Address
    metrics: Address | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class AutomaticRule(_Section):
    """[[policy.automatic]]: covers a question when all three lists do."""

    researcher: str
    analyses: list[str] = Field(min_length=1)
    columns: list[str] = Field(min_length=1)


class FloorsSection(_Section):
    """[policy.floors]"""

    cohort: int | None = Field(default=None, ge=5)
    cell: int | None = Field(default=None, ge=5)
    hospitals: int | None = Field(default=None, ge=2)
    residual_df: int | None = Field(default=None, ge=1)
    parameters_share: float | None = Field(default=None, gt=0, le=0.5)

    def tighten(self, floors: Floors) -> Floors:
        """The stricter of both, floor by floor."""
        return strictest(floors, Floors(**{**floors.model_dump(), **self.model_dump(exclude_none=True)}))


class PolicySection(_Section):
    """[policy]"""

    approve: Literal["by-hand", "automatic"] = "by-hand"
    steps: bool = False
    share_rows: bool = True
    automatic: list[AutomaticRule] = Field(default_factory=list)
    floors: FloorsSection = FloorsSection()


class File(_Section):
    """The whole file."""

    party: PartySection
    policy: PolicySection = PolicySection()
    data: dict[str, Any] | None = None


@dataclass(frozen=True)
class PartyConfig:
    """A verified configuration: the file, with its charter and keys."""

    charter: Charter
    identity: Identity
    folder: Path  # where the file lies: its paths are relative to this
    state: Path
    listen: str
    metrics: str | None
    log_level: str
    policy: PolicySection
    data: dict[str, Any] | None

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def floors(self) -> Floors:
        return self.policy.floors.tighten(self.charter.floors)

    @property
    def socket(self) -> Path:
        """Where the daemon listens for its operator."""
        return self.state / "admin.sock"

    @property
    def spill(self) -> Path:
        """Where a query may put what does not fit in memory."""
        return self.state / "spill"


def strictest(*floors: Floors) -> Floors:
    """Floor by floor the one that lets less pass: the largest, but the smallest share of parameters."""
    first = {name: max(getattr(f, name) for f in floors) for name in ("cohort", "cell", "hospitals", "residual_df")}
    return Floors(**first, parameters_share=min(f.parameters_share for f in floors))


def load(path: Path) -> PartyConfig:
    """Read and verify a party's configuration. Raises ConfigError, CharterError, SignatureInvalid, NotAuthorised."""
    file = read(path)
    folder = path.resolve().parent
    charter = charters.load(folder / file.party.charter)
    name = file.party.name
    if name not in charter.parties:
        raise NotAuthorised(f"{name!r} is no party of this charter; its parties are: {', '.join(charter.parties)}")
    identity = identities.load(name, folder / file.party.keys)
    if identity.public_key != charter.member(name).public_key:
        raise NotAuthorised(
            f"the keys folder holds other keys than the charter pins for {name!r}; point `keys` at the right folder"
        )
    _check_data(file, charter)
    _check_policy(path.name, file.policy, charter)
    party = file.party
    return PartyConfig(
        charter, identity, folder, folder / party.state, party.listen, party.metrics, party.log_level, file.policy, file.data
    )


def read(path: Path) -> File:
    """The file alone, checked for form. Raises ConfigError naming the key that is wrong."""
    document = read_toml(path, "give the path of your hospital.toml")
    try:
        return File.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise ConfigError(f"{path.name}: " + "; ".join(_explain(e["loc"], e["type"], e["msg"]) for e in found)) from None


_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): File,
    ("party",): PartySection,
    ("policy",): PolicySection,
    ("policy", "automatic"): AutomaticRule,
    ("policy", "floors"): FloorsSection,
}


def _explain(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    names = tuple(str(part) for part in loc if not isinstance(part, int))
    if kind != "extra_forbidden":
        return f"{'.'.join(names)}: {message}"
    *section, key = names
    known = list(_SECTIONS[tuple(section)].model_fields) if tuple(section) in _SECTIONS else []
    return f"unknown key {'.'.join(names)!r}{suggest(key, known)}"


def suggest(word: str, known: list[str]) -> str:
    """', did you mean ...?' for a likely slip, else what there is."""
    close = difflib.get_close_matches(word, known, n=2)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else f"; there are: {', '.join(known[:12])}"


def _check_data(file: File, charter: Charter) -> None:
    holds_data = file.party.name in charter.hospitals
    if holds_data and file.data is None:
        raise ConfigError(f"{file.party.name} is a hospital: its configuration needs a [data] section that names its tables")
    if not holds_data and file.data is not None:
        raise ConfigError(f"{file.party.name} holds no data in this study: leave the [data] section out")


def _check_policy(name: str, policy: PolicySection, charter: Charter) -> None:
    """A rule that names nobody, or nothing, would silently cover nothing."""
    if policy.automatic and policy.approve == "by-hand":
        raise ConfigError(
            f'{name}: [[policy.automatic]] has no effect while approve = "by-hand"; write approve = "automatic", or leave it out'
        )
    known = {
        "researcher": list(charter.researchers),
        "analyses": list(charter.analyses),
        "columns": list(charter.parsed_dictionary.columns),
    }
    for rule in policy.automatic:
        for key, words in {"researcher": [rule.researcher], "analyses": rule.analyses, "columns": rule.columns}.items():
            if words == ANY and key != "researcher":
                continue
            for word in words:
                if word not in known[key]:
                    raise ConfigError(
                        f"{name}: policy.automatic.{key} holds {word!r}, which the charter does not{suggest(word, known[key])}"
                    )
