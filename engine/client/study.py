"""A study as its researcher sees it: ask, and hold jobs and results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from engine import canonical
from engine import plan as plans
from engine import spec as specs
from engine.analyses.base import Analysis
from engine.charter import Charter
from engine.client import config as configs
from engine.client.config import ResearcherConfig
from engine.client.job import Job, JobStatus, overall
from engine.client.links import CALL_SECONDS, Links
from engine.client.plan import Plan
from engine.dictionary import Dictionary, Level
from engine.errors import SpecError
from engine.party.policy import compile_question
from engine.plan import AnalysisPlan
from engine.spec import Spec
from engine.wire.v1 import jobs_pb2 as wire
from engine.wire.v1.jobs_pb2_grpc import JobsStub

if TYPE_CHECKING:
    from engine import results


Found = TypeVar("Found")
ID = re.compile("[0-9a-f]{1,64}")  # or a beginning of one
PLAN_SECONDS = 60.0  # a party compiles every question of a plan before it answers


@dataclass(frozen=True)
class ListedJob:
    """One of the researcher's own jobs, as the parties list it."""

    id: str
    spec: Spec
    state: str
    submitted: str
    plan: str = ""  # the plan that it is part of, if any


@dataclass(frozen=True)
class ListedPlan:
    """One of the researcher's own plans, as the parties list it. `state` "released": its questions are answered in turn."""

    id: str
    document: AnalysisPlan
    state: str
    submitted: str


class Study:
    """Ask questions with `describe`, `missing`, `crosstab`, `ols`, `logit`, `poisson`; step by step with `spec`, `submit`, `job`
    and `jobs`; ask many at once, for one approval, with `plan`.

    `where` says about whom. `complete=[columns]` leaves out people with a missing value in these too, so that several questions
    are about the same people. `reference={column: level}` says what a factor's levels are compared with. `engine` is "replicated"
    or, where the charter lists it, "ckks" (docs/encrypted.md). `timeout`: seconds to wait for the answer; None waits until the
    job has ended. A question returns its result object, and raises what `Job.result` raises.

    Every question is checked here first, against the charter and its data dictionary; what is wrong with it raises a SpecError
    before anything is sent. It is then signed and sent to every party, each of which checks it again.
    """

    def __init__(self, config: ResearcherConfig, assumptions: Sequence[str] = ()) -> None:
        self._config = config
        self._links = Links(config)
        self.assumptions = tuple(assumptions)

    def __repr__(self) -> str:
        return f"<unseen.Study {self.charter.title!r}: {', '.join(self.charter.hospitals)}>"

    def __enter__(self) -> Study:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the lines to the parties. Jobs go on."""
        self._links.close()

    @property
    def charter(self) -> Charter:
        """What the members agreed on and signed."""
        return self._config.charter

    @property
    def dictionary(self) -> Dictionary:
        """The columns that may be asked for."""
        return self.charter.parsed_dictionary

    # -- questions ------------------------------------------------------------------------------------------------------

    def describe(
        self,
        columns: Sequence[str],
        by: str | None = None,
        *,
        quantiles: bool = True,
        where: str | None = None,
        complete: Sequence[str] = (),
        disclosure: str = "result",
        engine: str = "replicated",
        timeout: float | None = None,
    ) -> results.DescribeResult:
        """n, missing, mean, SD, median, IQR and more of each column, in its own unit, for everybody or for each level of `by`;
        of a category the counts of its levels. `quantiles=False` leaves quartiles out."""
        common = {"where": where, "complete": complete, "disclosure": disclosure, "engine": engine}
        listed = [columns] if isinstance(columns, str) else columns
        found: results.DescribeResult = self._ask(
            self.spec("describe", columns=listed, by=by, options={"quantiles": quantiles}, **common), timeout
        )
        return found

    def missing(
        self,
        columns: Sequence[str],
        *,
        where: str | None = None,
        complete: Sequence[str] = (),
        disclosure: str = "result",
        engine: str = "replicated",
        timeout: float | None = None,
    ) -> results.MissingResult:
        """How many people lack a value in each of these columns, and in at least one of them."""
        common = {"where": where, "complete": complete, "disclosure": disclosure, "engine": engine}
        found: results.MissingResult = self._ask(self.spec("missing", columns=columns, **common), timeout)
        return found

    def crosstab(
        self,
        formula: str,
        *,
        correction: bool = False,
        where: str | None = None,
        complete: Sequence[str] = (),
        reference: Mapping[str, Level] | None = None,
        disclosure: str = "result",
        engine: str = "replicated",
        timeout: float | None = None,
    ) -> results.CrosstabResult:
        """The contingency table of `"rows ~ columns"` with its chi-square test (`correction=True`: Yates, for 2 x 2)."""
        common = {"where": where, "complete": complete, "reference": reference or {}, "disclosure": disclosure, "engine": engine}
        found: results.CrosstabResult = self._ask(
            self.spec("crosstab", formula=formula, options={"correction": correction}, **common), timeout
        )
        return found

    def ols(
        self,
        formula: str,
        *,
        vcov: str = "model",
        cov_params: bool = False,
        wald: bool = False,
        where: str | None = None,
        complete: Sequence[str] = (),
        reference: Mapping[str, Level] | None = None,
        disclosure: str = "result",
        engine: str = "replicated",
        timeout: float | None = None,
    ) -> results.OLSResult:
        """Linear regression. `vcov`: "model", "HC0", "HC1", "cluster"; `cov_params=True` opens the whole covariance matrix,
        `wald=True` one number for the joint test of each factor."""
        common = {"where": where, "complete": complete, "reference": reference or {}, "disclosure": disclosure, "engine": engine}
        found: results.OLSResult = self._ask(
            self.spec("ols", formula=formula, options={"vcov": vcov, "cov_params": cov_params, "wald": wald}, **common), timeout
        )
        return found

    def logit(
        self,
        formula: str,
        *,
        vcov: str = "model",
        cov_params: bool = False,
        where: str | None = None,
        complete: Sequence[str] = (),
        reference: Mapping[str, Level] | None = None,
        disclosure: str = "result",
        engine: str = "replicated",
        timeout: float | None = None,
    ) -> results.LogitResult:
        """Logistic regression of a 0/1 column. `vcov`: "model", "HC0"; `disclosure="steps"` is faster, takes "cluster" too, and
        shows the parties the coefficients after each step; `engine="ckks"` takes "model" alone."""
        common = {"where": where, "complete": complete, "reference": reference or {}, "disclosure": disclosure, "engine": engine}
        found: results.LogitResult = self._ask(
            self.spec("logit", formula=formula, options={"vcov": vcov, "cov_params": cov_params}, **common), timeout
        )
        return found

    def poisson(
        self,
        formula: str,
        *,
        vcov: str = "model",
        cov_params: bool = False,
        where: str | None = None,
        complete: Sequence[str] = (),
        reference: Mapping[str, Level] | None = None,
        disclosure: str = "result",
        engine: str = "replicated",
        timeout: float | None = None,
    ) -> results.PoissonResult:
        """Poisson regression of a count, with log link. `vcov`: "model", "HC0"; `disclosure="steps"` is faster, takes "cluster"
        too, and shows the parties the coefficients after each step; `engine="ckks"` takes "model" alone."""
        common = {"where": where, "complete": complete, "reference": reference or {}, "disclosure": disclosure, "engine": engine}
        found: results.PoissonResult = self._ask(
            self.spec("poisson", formula=formula, options={"vcov": vcov, "cov_params": cov_params}, **common), timeout
        )
        return found

    # -- step by step ---------------------------------------------------------------------------------------------------

    def spec(self, analysis: str, **fields: Any) -> Spec:
        """A checked question with a fresh nonce and expiry; fields as in `Spec`. Raises SpecError and its kin."""
        for name in {"columns", "complete"} & fields.keys():
            if isinstance(fields[name], Iterable):
                fields[name] = [fields[name]] if isinstance(fields[name], str) else list(fields[name])
        if own := sorted({"study", "researcher"} & fields.keys()):
            raise SpecError(f"{' and '.join(own)}: the study that you ask in says that; leave it out")
        if not isinstance(fields.get("lifetime", specs.DEFAULT_LIFETIME), timedelta):
            raise SpecError("lifetime is a timedelta, in Python; in a file write `expires`, like 2026-01-31T12:00:00Z")
        spec = specs.new(study=self.charter.id, researcher=self._config.identity.name, analysis=analysis, **fields)
        self.check(spec)
        return spec

    def check(self, spec: Spec) -> Analysis:
        """What this question would run and open, by the code that every party runs too. Raises SpecError and its kin."""
        if spec.researcher != self._config.identity.name:
            raise SpecError("this question names another researcher; make it with study.spec(...)")
        return compile_question(spec, self.charter).analysis

    def submit(self, spec: Spec) -> Job:
        """Sign the question and send it to every party; the same question again is the same job.

        Raises SpecError; before anything is sent OtherVersion, CharterError and Unreachable, naming a party that is of another
        version, serves another charter or is down; NotAuthorised, Expired, Paused as a party does. Where only some took it,
        they drop it when it expires, and the same spec again, once all are well, starts it; the error says the job's id.
        """
        analysis = self.check(spec)
        signed = specs.sign(spec, self._config.identity.signing_key)
        request = wire.SubmitRequest(spec=signed.data, signature=signed.signature)
        self._send(lambda _, jobs: jobs.Submit(request, timeout=CALL_SECONDS), f"unseen submit --again {spec.job_id[:12]}")
        return Job(self._config, self._links, spec, analysis)

    def job(self, id: str) -> Job:
        """A job submitted before, by its id or a unique beginning of it. Raises SpecError for none or several, Unreachable."""
        found = self._found(id)
        return Job(self._config, self._links, found.spec, self.check(found.spec))

    def submit_again(self, id: str) -> Job:
        """Send a job that some parties have not got to all of them once more, from what the others hold. Raises as `job` and
        `submit`; SpecError too for a question of a plan: by itself, it would keep out the plan where that has not come yet."""
        found = self._found(id)
        if found.plan:
            raise SpecError(f"it is a question of a plan: `unseen plan submit --again {found.plan[:12]}` sends that again")
        return self.submit(found.spec)

    def jobs(self) -> list[ListedJob]:
        """The researcher's own jobs of this study, newest first. Raises Unreachable when no party answers."""
        return listed(self._listed())

    def status(self, id: str) -> JobStatus:
        """Where a job stands at every party. Raises SpecError for no or several jobs of that id, Unreachable."""
        return self.job(id).status()

    # -- plans ------------------------------------------------------------------------------------------------------------

    def plan(self, questions: Sequence[Spec | Mapping[str, Any]], *, title: str, purpose: str) -> Plan:
        """Many questions under one signature and one approval: drafted, signed, sent to every party. Raises as `draft_plan` and
        `submit_plan`.

        When every party has agreed, the disclosure rules are asked about every question before any is answered, each beside
        earlier answers and the questions before it; one that is refused refuses the plan. Then the questions run in order.
        """
        return self.submit_plan(self.draft_plan(questions, title=title, purpose=purpose))

    def draft_plan(self, questions: Sequence[Spec | Mapping[str, Any]], *, title: str, purpose: str) -> AnalysisPlan:
        """A checked plan, not sent yet. A question is a Spec, or the fields that `spec` takes, `analysis` among them.

        Raises SpecError and its kin, with the number of the question that is wrong.
        """
        asked = []
        for number, fields in enumerate(questions, 1):
            with plans.question(number):
                asked.append(self._question(fields))
        name = self._config.identity.name
        return plans.new(study=self.charter.id, researcher=name, title=title, purpose=purpose, questions=asked)

    def submit_plan(self, plan: AnalysisPlan) -> Plan:
        """Sign the plan once and send it to every party; the same plan again is the same plan, with the same jobs.

        Raises as `submit`; SpecError also where a question was asked before, by itself or in another plan.
        """
        analyses = []
        for number, spec in enumerate(plan.questions, 1):
            with plans.question(number):
                analyses.append(self.check(spec))
        signed = plans.sign(plan, self._config.identity.signing_key)
        request = wire.SubmitPlanRequest(plan=signed.data, signature=signed.signature)
        self._send(lambda _, jobs: jobs.SubmitPlan(request, timeout=PLAN_SECONDS), f"unseen plan submit --again {plan.id[:12]}")
        return Plan(self._config, self._links, plan, analyses)

    def submitted_plan(self, id: str) -> Plan:
        """A plan submitted before, by its id or a unique beginning of it. Raises SpecError for none or several, Unreachable."""
        found = _one([plan for plan in listed_plans(self._beginning(id)) if plan.id.startswith(id)], id, "plans").document
        return Plan(self._config, self._links, found, [self.check(spec) for spec in found.questions])

    def plans(self) -> list[ListedPlan]:
        """The researcher's own plans of this study, newest first. Raises Unreachable when no party answers."""
        return listed_plans(self._listed())

    def _send(self, call: Callable[[str, JobsStub], Any], again: str) -> None:
        """To every party, once all are well. Where only some take it, the error names `again`, a command, beside the reason."""
        self._links.greet(self.charter.parties)
        taken, failures = self._links.try_everyone(self.charter.parties, call)
        for error in failures.values():
            if taken:
                error.args = (f"{error}. {', '.join(taken)} took it; `{again}` sends the same one to all once more",)
            raise error

    def _question(self, fields: Spec | Mapping[str, Any]) -> Spec:
        if isinstance(fields, Spec):
            self.check(fields)
            return fields
        if not isinstance(fields.get("analysis"), str):
            raise SpecError(f'it needs analysis = "..."; this study allows {", ".join(self.charter.analyses)}')
        return self.spec(**fields)

    def _found(self, id: str) -> ListedJob:
        return _one([job for job in listed(self._beginning(id)) if job.id.startswith(id)], id, "jobs")

    def _beginning(self, id: str) -> list[wire.ListedJob]:
        """What the parties list under ids that begin so; what can begin none is not asked."""
        return self._listed(id) if ID.fullmatch(id) else []

    def _listed(self, prefix: str = "") -> list[wire.ListedJob]:
        replies, failures = self._links.try_everyone(self.charter.parties, lambda _, jobs: _all_pages(jobs, prefix))
        if not replies:
            raise next(iter(failures.values()))
        return [job for reply in replies.values() for job in reply]

    def _ask(self, spec: Spec, timeout: float | None) -> Any:
        return self.submit(spec).result(timeout)


def _all_pages(jobs: JobsStub, prefix: str) -> list[wire.ListedJob]:
    """All that one party lists, newest first, reply by reply. A reply that brings nothing new is the last one."""
    found: dict[str, wire.ListedJob] = {}
    before, more = "", True
    while more:
        reply = jobs.List(wire.ListRequest(before=before, prefix=prefix), timeout=CALL_SECONDS)
        fresh = {job.status.job: job for job in reply.jobs if job.status.job not in found}
        found |= fresh
        before, more = reply.jobs[-1].status.job if fresh else "", reply.more and bool(fresh)
    return list(found.values())


def listed(jobs: Sequence[wire.ListedJob]) -> list[ListedJob]:
    """One entry for each job, whichever parties listed it. A question that is not the one its id names is left out; one that is
    listed without its document is taken from the plans listed, which hold it under its id."""
    in_plans = {spec.job_id: spec for plan in listed_plans(jobs) for spec in plan.document.questions}
    same_by_id = _by_id(jobs, lambda job: _named(job, job.spec) if job.spec else job.status.job in in_plans)
    found = [
        ListedJob(id, in_plans.get(id) or specs.parse(same[0].spec), *_state(same), same[0].status.plan)
        for id, same in same_by_id.items()
    ]
    return sorted(found, key=lambda job: job.submitted, reverse=True)


def listed_plans(jobs: Iterable[wire.ListedJob]) -> list[ListedPlan]:
    """The same of plans."""
    same_by_id = _by_id(jobs, lambda job: _named(job, job.plan))
    found = [ListedPlan(id, plans.parse(same[0].plan), *_state(same)) for id, same in same_by_id.items()]
    return sorted(found, key=lambda plan: plan.submitted, reverse=True)


def _named(job: wire.ListedJob, document: bytes) -> bool:
    """Whether it is listed under the hash of this document."""
    return canonical.digest(document) == job.status.job


def _by_id(jobs: Iterable[wire.ListedJob], believed: Callable[[wire.ListedJob], bool]) -> dict[str, list[wire.ListedJob]]:
    """What the parties say of each job, where what they list is believed."""
    entries: dict[str, list[wire.ListedJob]] = {}
    for job in jobs:
        if believed(job):
            entries.setdefault(job.status.job, []).append(job)
    return entries


def _state(same: list[wire.ListedJob]) -> tuple[str, str]:
    """State and time of submission."""
    return overall([job.status.state for job in same]), min(job.status.submitted for job in same)


def _one(found: list[Found], id: str, what: str) -> Found:
    if len(found) != 1 or not id:
        command = {"jobs": "unseen jobs", "plans": "unseen plan list"}[what]
        raise SpecError(f"{'several' if len(found) > 1 else 'none'} of your {what} begin with {id!r}; `{command}` lists them")
    return found[0]


def connect(path: str | Path) -> Study:
    """The study that a researcher.toml points to. Raises ConfigError, CharterError, SignatureInvalid, NotAuthorised.

    Nothing is dialled yet: the first question is.
    """
    return Study(configs.load(Path(path)))
