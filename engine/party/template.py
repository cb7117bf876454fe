"""The configuration that `unseen party init` writes: every key with its reason, ready to run once the data's columns fit."""

from __future__ import annotations

import json

PORT = 7443  # of a daemon that only its own machine connects to

_PARTY = """\
# The configuration of one party's daemon: unseen party serve --config hospital.toml
# Paths are relative to this file. An unknown key is an error, so that a misspelt one never silently does nothing.

[party]
name = {name}{pad}# as the charter calls this party
charter = "charter.json"             # the agreement that all members signed (`unseen study show charter.json` explains it)
keys = "keys"                        # made by `unseen party init`; never leaves this machine
state = "state"                      # jobs, journal, audit log, admin socket: private to the daemon's user; back it up
listen = "{listen}"{listen_pad}# {listen_why}
# metrics = "127.0.0.1:9464"         # Prometheus metrics, without data

[policy]
approve = "by-hand"                  # each question waits for `unseen party approve JOB`; or "automatic", for what rules cover
steps = false                        # questions that open coefficients to the parties after each step are refused
share_rows = true                    # false refuses questions for which rows, not sums alone, are shared among compute parties
# [[policy.automatic]]               # with approve = "automatic": questions covered by a rule run without an operator
# researcher = "ana"
# analyses = ["describe", "crosstab"]
# columns = ["age", "indo", "risk"]  # all columns that the question touches, those of `where` too

# [policy.floors]                    # stricter than the charter's; the strictest of all parties holds
# cohort = 20
"""

_DATA = """
[data]                               # only hospitals; a party that only computes has none
source = {source}{pad}# CSV or Parquet, or several: "visits/*.parquet"; or database = "clinic.duckdb" and table = "visits"
# table = "study.visits"             # instead of source: a table or view in PostgreSQL, with [data.postgres] below
# missing = ["-9"]                   # own values that mean "missing", besides empty fields, NA, null, none, nan and a dot

# [data.postgres]                    # a user that may SELECT from that table alone; needs pip install 'unseen[postgres]'
# host = "db.um.example"             # its certificate is verified; left out: this machine's socket
# dbname = "clinic"
# user = "unseen_reader"
# password_file = "pg.password"      # chmod 600; left out: PGPASSWORD in the daemon's environment
# sslrootcert = "db-ca.pem"          # who signed that certificate; left out: this machine's authorities
# timeout = 60                       # seconds for one batch of rows

[data.columns]                       # dictionary column = own column, or SQL over own columns; yours, never a researcher's
# age = "AGE_YEARS"
# risk = "score_a + score_b"

# [data.codes.female]                # own value = dictionary level
# "F" = 1
# "M" = 0
"""
_COMMENTS_AT = 37


def hospital_toml(name: str, port: int | None, source: str | None) -> str:
    """hospital.toml of a party that listens on `port`, None for one behind a relay.

    `source` is the path of its data, None for a party that only computes.
    """
    written = _string(name)
    why = "where the other parties and the researchers reach this one"
    listen = f"0.0.0.0:{port}"
    if port is None:
        why, listen = "loopback: the others come through the relay that the charter names", f"127.0.0.1:{PORT}"
    pad = _pad("listen", _string(listen))
    text = _PARTY.format(name=written, pad=_pad("name", written), listen=listen, listen_pad=pad, listen_why=why)
    if source is None:
        return text
    written = _string(source)
    return text + _DATA.format(source=written, pad=_pad("source", written))


def researcher_toml(name: str) -> str:
    """researcher.toml, beside charter.json and keys/."""
    return (
        f'# A researcher of a study: unseen.connect("researcher.toml"), or UNSEEN_STUDY=researcher.toml at the shell.\n'
        f"name = {_string(name)}\n"
        'charter = "charter.json"       # the agreement that all members signed\n'
        'keys = "keys"                  # made by `unseen init`; never leaves this machine\n'
    )


def _string(value: str) -> str:
    """A TOML string: JSON's, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _pad(key: str, value: str) -> str:
    return " " * max(2, _COMMENTS_AT - len(f"{key} = {value}"))
