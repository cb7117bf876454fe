"""Guards of the protocols on shares."""

from tests.mutations.mutation import Mutation

VIEWS = "tests/protocols/test_views.py"

GUARDS = [
    Mutation(
        "zero-share",
        "protocols/replicated/zero.py",
        "return add_difference(x, ours, theirs)",
        "return x",
        f"{VIEWS}::test_received_words_are_independent_of_what_is_missing",
    ),
    Mutation(
        "zero-share-of-bits",
        "protocols/replicated/zero.py",
        "ours ^ theirs",
        "ours ^ ours",
        f"{VIEWS}::test_received_words_are_independent_of_what_is_missing",
    ),
    Mutation(
        "mask-of-products-of-an-addend's-bits",
        "protocols/replicated/compare.py",
        "to_1 = np.concatenate([(monomials ^ t_1).reshape(-1, words), e[None]])",
        "to_1 = np.concatenate([monomials.reshape(-1, words), e[None]])",
        f"{VIEWS}::test_received_words_are_independent_of_what_is_missing",
    ),
    Mutation(
        "zero-share-of-a-release",
        "protocols/replicated/opening.py",
        "return add_zero_share(session, x.own)",
        "return x.own",
        f"{VIEWS}::test_released_shares_say_their_sum_only",
    ),
    Mutation(
        "mask-of-an-addend",
        "protocols/replicated/split.py",
        "masked = native.add(additive, session.stream(0, ADDEND_MASK).ring(tuple(shape), limbs))",
        "masked = additive",
        f"{VIEWS}::test_received_words_are_independent_of_what_is_missing",
    ),
    Mutation(
        "mask-of-a-truncated-part",
        "protocols/replicated/split.py",
        "s = session.stream(2, SHARE).ring(shape, limbs)",
        "s = np.zeros((*shape, limbs), dtype=np.uint64)",
        f"{VIEWS}::test_received_words_are_independent_of_what_is_missing",
    ),
    Mutation(
        "mask-of-a-top-bit",
        "protocols/replicated/split.py",
        "native.split_private(addend, s, c_0_t_1, c_1_t_2, drop)",
        "native.split_private(addend, s, c_0_t_1 * np.uint64(0), c_1_t_2, drop)",
        f"{VIEWS}::test_received_words_are_independent_of_what_is_missing",
    ),
    Mutation(
        "mask-of-the-help-with-a-product",
        "protocols/replicated/split.py",
        "native.split_help(addend, c_t, drop, limbs)",
        "native.split_help(addend, np.stack([c_t[0] * np.uint64(0), c_t[1]]), drop, limbs)",
        f"{VIEWS}::test_received_words_are_independent_of_what_is_missing",
    ),
    Mutation(
        "masks-only-where-they-hide",
        "protocols/replicated/cost.py",
        "2.0**MASKED_AT_MOST_LOG2",
        "2.0**0",
        "tests/protocols/test_cost.py::test_masks_are_taken_up_to_what_they_may_leak",
    ),
    Mutation(
        "no-mask-relies-on-unproven-bounds",
        "protocols/planned.py",
        "return bound if proven else (1 << ring.opening_bits(limbs)) - 1",
        "return bound",
        "tests/protocols/test_cost.py::test_a_verb_costs_what_it_declares",
    ),
    Mutation(
        "rows-are-not-proven",
        "protocols/replicated/engine.py",
        "each.bound, proven=False)",
        "each.bound)",
        "tests/protocols/test_rows.py::test_rows_of_every_kind_of_hospital",
    ),
    Mutation(
        "pairwise-mask",
        "protocols/sums.py",
        "vector = native.add(vector, mask) if session.me < other else native.sub(vector, mask)",
        "vector = native.add(vector, native.sub(mask, mask))",
        "tests/protocols/test_sums.py::test_three_colluding_parties_see_totals_only",
    ),
    Mutation(
        "clamp-of-a-linear-predictor",
        "protocols/numeric/logistic.py",
        "1 - 2 * negative - over + under",
        "1 - 2 * negative",
        "tests/protocols/test_logistic.py::test_the_clear_agrees_with_scipy",
    ),
    Mutation(
        "clamp-of-an-exponent",
        "protocols/numeric/exponential.py",
        "mpc.bounded(1 - over - under, 1,",
        "mpc.bounded(1 - under, 1,",
        "tests/protocols/test_exponential.py::test_both_engines_agree_with_numpy",
    ),
    Mutation(
        "room-of-a-blurred-comparison",
        "protocols/planned.py",
        "(x.bound + (2 << blur) - 2).bit_length()",
        "x.bound.bit_length()",
        "tests/protocols/test_comparison.py::test_a_blur_must_leave_room",
    ),
    Mutation(
        "counter",
        "protocols/prf.py",
        "self._block += blocks",
        "self._block += 0",
        "tests/simulation/test_reuse.py::test_a_stream_never_moves_back",
    ),
    Mutation(
        "leakage-budget",
        "protocols/session.py",
        "if self.leakage > 2.0**BUDGET_LOG2:",
        "if self.leakage < 0:",
        "tests/protocols/test_cost.py::test_a_job_beyond_the_budget_is_stopped_before_anything_is_sent",
    ),
    Mutation(
        "range-plan",
        "protocols/ring.py",
        "if bound.bit_length() > opening_bits(limbs):",
        "if bound.bit_length() > 2 * opening_bits(limbs):",
        "tests/protocols/test_verbs.py::test_a_plan_one_bit_over_is_refused",
    ),
]
