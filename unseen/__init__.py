"""unseen: hospitals answer a question together without showing each other, or anyone, a patient's row.

    study = unseen.connect("researcher.toml")                     # or: with unseen.sandbox({"um": "um.csv", ...}) as study:
    fit = study.ols("age ~ indo + female", where="age >= 18")
    print(fit.summary())

These are the public names; everything else may change.
"""

from engine.client import Job, JobEvent, JobStatus, ListedJob, ListedPlan, Plan, PlanStatus, Study, connect
from engine.dictionary import Dictionary
from engine.errors import (
    CharterError,
    CohortError,
    ConfigError,
    DataError,
    DictionaryError,
    Expired,
    FormulaError,
    JobAborted,
    NotAuthorised,
    NotEstimable,
    OtherVersion,
    Paused,
    PlanRefused,
    ReceiptInvalid,
    Refused,
    RefusedByDisclosureRules,
    RefusedByPolicy,
    ResultTimeout,
    SignatureInvalid,
    SpecError,
    UnknownColumn,
    UnknownLevel,
    Unreachable,
)
from engine.party.version import SOFTWARE_VERSION as __version__
from engine.receipt import Receipt
from engine.results import (
    CrosstabResult,
    DescribeResult,
    GLMResult,
    LogitResult,
    MissingResult,
    OLSResult,
    PoissonResult,
    RegressionResult,
    Result,
)
from engine.sandbox import sandbox
from engine.spec import Spec
from native.errors import KernelsNotBuilt, UnseenError

__all__ = [
    "CharterError",
    "CohortError",
    "ConfigError",
    "CrosstabResult",
    "DataError",
    "DescribeResult",
    "Dictionary",
    "DictionaryError",
    "Expired",
    "FormulaError",
    "GLMResult",
    "Job",
    "JobAborted",
    "JobEvent",
    "JobStatus",
    "KernelsNotBuilt",
    "ListedJob",
    "ListedPlan",
    "LogitResult",
    "MissingResult",
    "NotAuthorised",
    "NotEstimable",
    "OLSResult",
    "OtherVersion",
    "Paused",
    "Plan",
    "PlanRefused",
    "PlanStatus",
    "PoissonResult",
    "Receipt",
    "ReceiptInvalid",
    "Refused",
    "RefusedByDisclosureRules",
    "RefusedByPolicy",
    "RegressionResult",
    "Result",
    "ResultTimeout",
    "SignatureInvalid",
    "Spec",
    "SpecError",
    "Study",
    "UnknownColumn",
    "UnknownLevel",
    "Unreachable",
    "UnseenError",
    "__version__",
    "connect",
    "sandbox",
]
