"""What `import unseen` gives, and what it does not drag in."""

import subprocess
import sys

import unseen
from native.errors import UnseenError

NAMES = [
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

LIGHT = """
import sys
for name in ("duckdb", "pyarrow", "structlog", "uvloop", "prometheus_client", "grpc_health", "matplotlib", "statsmodels"):
    sys.modules[name] = None  # importing it raises
import unseen
import engine.cli.main
"""


def test_the_public_names_are_these():
    assert sorted(unseen.__all__) == sorted(NAMES)
    assert {name for name in vars(unseen) if not name.startswith("_")} >= set(NAMES) - {"__version__"}


def test_every_public_exception_is_an_unseen_error():
    kinds = [value for name in NAMES if isinstance(value := getattr(unseen, name), type) and issubclass(value, Exception)]
    assert len(kinds) > 15
    assert all(issubclass(kind, UnseenError) for kind in kinds)


def test_a_researchers_import_needs_nothing_of_a_party():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
