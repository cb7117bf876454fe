"""What a researcher does. Start a study in another terminal, and pass the researcher.toml that it names:

    unseen sandbox examples/data/indo_rct/*.csv --dictionary examples/indo_rct.toml
    python examples/researcher.py PATH/researcher.toml

What leaks: what each question says it opens, to the researcher; after each step of the logistic regression whether it has
converged, to the parties; that the jobs ran, to everybody in the study.
"""

import sys

import unseen

study = unseen.connect(sys.argv[1] if len(sys.argv) > 1 else "researcher.toml")
print(study, "\ncolumns:", ", ".join(study.dictionary.columns))

# One question, answered in one call. Wrong columns, levels or formulas raise here, before anything is sent.
fit = study.ols("age ~ indo + female + risk", where="age >= 18 and sod1 == 1", vcov="HC1")
print(fit.summary())
print("indomethacin:", fit.params["indo"], "+-", fit.bse["indo"])
print(fit.conf_int(0.9))
print(fit.receipt.summary())

# The same step by step: a question is data, a job runs whether or not anybody waits.
spec = study.spec("logit", formula="pep_out ~ indo + risk")
job = study.submit(spec)
for event in job.events():
    print(event.member, event.state, event.detail)
try:
    print(job.result(timeout=60).to_frame())
except unseen.Refused as refusal:
    print("no answer:", refusal)
