"""Guards of the analyses, of the formulas that they read and of what is done with their results."""

from tests.mutations.mutation import Mutation

DERIVED = "tests/engine/test_derivation.py"

GUARDS = [
    Mutation(
        "rows-compared-without-a-mask",
        "engine/analyses/glm_hidden.py",
        'mpc.reshape(totals["z"], (-1,))',
        'mpc.bounded(mpc.reshape(totals["z"], (-1,)), 1 << SMALL_FRAC, CHECKED, checked=True)',
        "tests/engine/analyses/test_logistic.py::test_no_mask_relies_on_rows_before_they_are_compared_with_sums",
    ),
    Mutation(
        "rows-agree-with-sums",
        "engine/analyses/glm_hidden.py",
        "return negation(mpc, mpc.reshape(inside, ()))",
        "return negation(mpc, mpc.reshape(inside * 0 + 1, ()))",
        "tests/engine/analyses/test_logistic.py::test_a_hospital_whose_rows_are_not_its_sums_is_found",
    ),
    Mutation(
        "predictors-beyond-the-interval",
        "engine/analyses/glm_encrypted.py",
        "asked += [self._most(mpc, held.n, guard.frac) - replace(guard, frac=0), replace(guard, frac=0) + noise]",
        "pass",
        "tests/engine/analyses/test_encrypted.py::test_predictors_a_little_beyond_the_interval_end_the_fit",
    ),
    Mutation(
        "derived-columns-share-their-source",
        "engine/analyses/__init__.py",
        "sources=(*each.sources, *(sources[name] for name in each.columns))",
        "sources=each.sources",
        f"{DERIVED}::test_the_ledger_knows_what_a_column_is_made_from",
    ),
    Mutation(
        "one-grouping-of-a-column",
        "engine/formula/shape.py",
        "if other != column.name:",
        "if other == 0:",
        f"{DERIVED}::test_groupings_of_one_column_do_not_meet_in_a_formula",
    ),
    Mutation(
        "few-values-beside-a-grouping",
        "engine/formula/cells.py",
        "column.name in bent or shape_of(meaning).bend",
        "shape_of(meaning).bend",
        f"{DERIVED}::test_beside_its_grouping_a_column_of_few_values_counts_each",
    ),
    Mutation(
        "missing-counts-masked",
        "engine/analyses/missing.py",
        "negation(mpc, below[:columns])",
        "negation(mpc, none[:columns])",
        "tests/engine/analyses/test_missing.py::test_what_is_withheld_does_not_open",
    ),
    Mutation(
        "missing-in-any-withheld",
        "engine/analyses/missing.py",
        "mpc.mul(negation(mpc, below), negation(mpc, withheld))",
        "mpc.mul(negation(mpc, below), negation(mpc, below))",
        "tests/engine/analyses/test_missing.py::test_what_is_withheld_does_not_open",
    ),
    Mutation(
        "leverage",
        "engine/analyses/leverage.py",
        "int(MOST**4 * 2**LARGE_FRAC)",
        "int(8**4 * 2**LARGE_FRAC)",
        "tests/engine/analyses/test_leverage.py::test_nobody_above_a_half_passes",
    ),
    Mutation(
        "leverage-about-ten-people",
        "engine/analyses/leverage.py",
        "FEWEST_PEOPLE - len(self._kept)",
        "0 * len(self._kept)",
        "tests/engine/analyses/test_leverage.py::test_what_leaves_the_hospital_is_about_ten_people_or_nobody",
    ),
    Mutation(
        "leverage-before-coefficients",
        "engine/analyses/glm_steps.py",
        'ends = {"refused": refused,',
        'ends = {"refused": mpc.constant(0, frac=0),',
        "tests/engine/analyses/test_leverage.py::test_a_refusal_opens_no_coefficient",
    ),
    Mutation(
        "lr-test-of-the-same-rows",
        "engine/results/comparing.py",
        "    _require_same_rows(full, reduced)\n",
        "",
        "tests/engine/test_comparing.py::test_data_that_changed_in_between_and_other_numbers_of_rows_are_noticed",
    ),
    Mutation(
        "digits-lacking",
        "engine/analyses/inference.py",
        "if self.worth_refusing > self.tolerance:",
        "if self.worth_refusing < 0:",
        "tests/engine/analyses/test_linear.py::test_bounds_too_wide_for_the_digits_we_promise_are_refused",
    ),
    Mutation(
        "masks-that-rely-on-ciphertexts",
        "engine/analyses/glm_encrypted.py",
        "replace(each, proven=False)",
        "each",
        "tests/engine/analyses/test_encrypted.py::test_no_mask_relies_on_what_follows_from_ciphertexts",
    ),
    Mutation(
        "squares-of-the-guard",
        "engine/analyses/glm_encrypted.py",
        'found["guard"] = verbs.square(found["guard"])',
        "pass",
        "tests/engine/analyses/test_encrypted.py::test_one_predictor_beyond_the_interval_among_many_ends_the_fit",
    ),
    Mutation(
        "chi-square-converted-twice",
        "engine/analyses/glm_encrypted.py",
        "return mpc.reshape(any_of(mpc, [mpc.is_negative(mpc.concat(signs))]), ())",
        "return mpc.reshape(any_of(mpc, [0 * mpc.is_negative(mpc.concat(signs))]), ())",
        "tests/engine/analyses/test_encrypted.py::test_a_chi_square_beyond_its_room_is_withheld",
    ),
    Mutation(
        "blocks-of-hospitals-with-few-rows",
        "engine/analyses/glm_encrypted.py",
        "range(0, max(len(z), least_rows, 1), verbs.block)",
        "range(0, max(len(z), 1), verbs.block)",
        "tests/engine/analyses/test_encrypted.py::test_hospitals_without_rows_compute_as_many_sums_as_others",
    ),
    Mutation(
        "squares-leave-their-error-to-the-comparison",
        "protocols/ckks/multiparty/rows.py",
        "0.0 if weighted.overflow_shows else",
        "0.0 if False else",
        "tests/engine/analyses/test_encrypted_rooms.py::test_no_allowed_question_runs_out_of_levels",
    ),
]
