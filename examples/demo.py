"""The demo: does indomethacin prevent pancreatitis after ERCP? Three hospitals answer together; `make demo` runs this script.

What leaks, to whom, while it runs:

    the researcher   the outputs of five questions, above the disclosure floors, and the counts that go with them
    the hospitals    the questions; whether each was answerable; after each step of the logistic regressions whether they have
                     converged. Never a coefficient, nor another's row, sum or count; for the first logistic regression each
                     holds shares of the others' rows, which say nothing unless two of the three put them together; for the
                     second no row leaves a hospital in any form, and two together could see coefficients and pooled sums
    the network      that the five jobs ran, and their sizes, which follow from the questions

Each hospital is a process of its own, with its own folder, keys and file of the real trial (Elmunzer et al., NEJM 2012). Only
after all daemons have stopped does this script open the three files itself, for the pooled fit that hospitals could not make.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import unseen

HERE = Path(__file__).resolve().parent
FILES = {name: HERE / "data" / "indo_rct" / f"{name}.csv" for name in ("um", "iu", "uk_case")}
LINEAR = "age ~ indo + female + risk"
LOGISTIC = "pep_out ~ indo + age + female + risk + sod1"


def main() -> None:
    start = time.monotonic()
    heading("Three hospitals, three daemons, three folders")
    box = unseen.sandbox(FILES, dictionary=HERE / "indo_rct.toml")
    with box as study:
        for hospital, file in box.layout.hospitals.items():
            print(f"  {hospital:<8} process {box.processes[hospital]}, data in {file}")
        linear, logistic, encrypted = ask(study)
    print("\nThe daemons have stopped.")
    compare(linear, logistic, encrypted)
    print(f"\n{time.monotonic() - start:.0f} seconds in all. Next: `unseen sandbox --help`, and README.md.")


def ask(study: unseen.Study) -> tuple[unseen.OLSResult, unseen.LogitResult, unseen.LogitResult]:
    """Five questions, the way any researcher asks them."""
    heading("study.describe(['age', 'risk', 'pep_out'])")
    print(study.describe(["age", "risk", "pep_out"]).summary())

    heading("study.crosstab('indo ~ pep_out')")
    print(study.crosstab("indo ~ pep_out").summary())

    heading(f"study.ols({LINEAR!r})")
    linear = study.ols(LINEAR)
    print(linear.summary())

    heading(f"study.logit({LOGISTIC!r}), step by step: nobody sees an iterate")
    job = study.submit(study.spec("logit", formula=LOGISTIC))
    for event in job.events():
        if event.member == "um":
            print(f"  {event.time[11:23]}  um: {event.state} {event.detail}")
    logistic = job.result()
    print(logistic.summary())

    heading(f"study.logit({LOGISTIC!r}, engine='ckks'): on encrypted coefficients, no row leaves a hospital")
    encrypted = study.logit(LOGISTIC, engine="ckks")
    print(encrypted.summary())

    heading("The receipt of the last answer, signed by all three")
    print(encrypted.receipt.summary())
    return linear, logistic, encrypted


def compare(linear: unseen.OLSResult, logistic: unseen.LogitResult, encrypted: unseen.LogitResult) -> None:
    """The same models on the pooled rows, in the clear."""
    try:
        import pandas as pd
        import statsmodels.formula.api as smf
    except ImportError:
        print("Install statsmodels to compare with the pooled fit.")
        return
    pooled = pd.concat([pd.read_csv(file) for file in FILES.values()])
    heading("Beside the pooled fit of statsmodels, in the clear")
    logit = smf.logit(LOGISTIC, pooled).fit(disp=0, method="newton", maxiter=50, tol=1e-14)
    for fit, reference in ((linear, smf.ols(LINEAR, pooled).fit()), (logistic, logit), (encrypted, logit)):
        print(
            f"\n{fit.formula} ({fit.receipt.engine})\n{'':<12}{'unseen':>14}{'pooled':>14}{'difference in standard errors':>32}"
        )
        for name, value in reference.params.items():
            apart = abs(fit.params[name] - value) / reference.bse[name]
            print(f"{name:<12}{fit.params[name]:>14.8f}{value:>14.8f}{apart:>32.1e}")


def heading(text: str) -> None:
    print(f"\n\n--- {text}\n", flush=True)


if __name__ == "__main__":
    try:
        main()
    except unseen.UnseenError as error:
        sys.exit(f"unseen: {error}")
