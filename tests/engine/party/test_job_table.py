"""The state table, exhaustively."""

import itertools

import pytest

from engine.analyses.base import STOPS
from engine.party.errors import IllegalTransition
from engine.party.jobs import ENDS, IN_SESSION, REASONS, TRANSITIONS, WAITING, State, check, reason

LIFE = [
    State.RECEIVED,
    State.VERIFIED,
    State.APPROVED,
    State.KEYED,
    State.COMPUTING,
    State.CHECKED,
    State.CHARGED,
    State.RELEASED,
]
ALLOWED = (
    {(before, after) for before, after in itertools.pairwise(LIFE)}
    | {(state, State.ABORTED) for state in LIFE[:-1]}
    | {(state, State.REFUSED) for state in LIFE[:5]}
)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_the_table_holds_one_way_forward_and_two_ends(before: State, after: State) -> None:
    if (before, after) in ALLOWED:
        check(before, after)
    else:
        with pytest.raises(IllegalTransition):
            check(before, after)


def test_every_state_is_in_the_table_and_ends_lead_nowhere() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {state for state in State if not TRANSITIONS[state]} == set(ENDS)


def test_a_job_is_waiting_in_a_session_charged_or_at_an_end() -> None:
    assert WAITING | IN_SESSION | {State.CHARGED} | ENDS == set(State)
    assert not WAITING & IN_SESSION


@pytest.mark.parametrize("code", list(REASONS))
def test_every_reason_ends_a_job_without_a_release_and_fits_a_notice(code: str) -> None:
    assert REASONS[code].end in (State.REFUSED, State.ABORTED)
    assert REASONS[code].text
    assert 0 < len(code) <= 16


@pytest.mark.parametrize("code", ["rules", *STOPS])
def test_reasons_that_depend_on_rows_name_nobody(code: str) -> None:
    assert not REASONS[code].names_member


def test_an_unknown_code_counts_as_a_failure() -> None:
    assert reason("from-a-later-version") is REASONS["internal"]
