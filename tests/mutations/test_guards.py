"""Every guard is needed: without it a named test turns red.

Each mutation replaces one piece of text in a copy of the packages and runs the test that names the promise. The same tests pass
in the unchanged copy, so a red one is red because the guard is gone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("unseen", "engine", "protocols", "native", "tests")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Mutation:
    """Take `guard` out of `file`; `test` must turn red."""

    name: str
    file: str
    guard: str
    without: str
    test: str


VIEWS = "tests/protocols/test_views.py"
GATE = "tests/engine/test_gate.py::test_each_rule_at_its_edge"
POLICY = "tests/engine/party/test_policy.py"
TERMS = "tests/engine/party/test_terms.py"
DERIVED = "tests/engine/test_derivation.py"
CKKS = "tests/protocols/ckks"
JOINT = "tests/protocols/ckks/multiparty"
RELAY = "tests/engine/relay/test_relay.py"

MUTATIONS = [
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
        "rows-compared-without-a-mask",
        "engine/analyses/glm_hidden.py",
        'mpc.reshape(totals["z"], (-1,))',
        'mpc.bounded(mpc.reshape(totals["z"], (-1,)), 1 << SMALL_FRAC, CHECKED, checked=True)',
        "tests/engine/analyses/test_logistic.py::test_no_mask_relies_on_rows_before_they_are_compared_with_sums",
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
    Mutation(
        "range-plan-before-a-job",
        "engine/party/policy.py",
        "        plan_ranges(analysis)\n",
        "        pass\n",
        f"{POLICY}::test_a_question_whose_plan_is_one_bit_over_is_refused",
    ),
    Mutation("gate-cohort", "engine/party/gate.py", "policy.people_needed(plan.parameters)", "1", GATE),
    Mutation(
        "gate-hospitals", "engine/party/gate.py", 'counts["contributes"], policy.hospitals', 'counts["contributes"], 1', GATE
    ),
    Mutation("gate-complement", "engine/party/gate.py", 'counts["complement"], policy.cohort', 'counts["complement"], 1', GATE),
    Mutation("gate-cells", "engine/party/gate.py", 'totals["gate.cells"], policy.cell', 'totals["gate.cells"], 1', GATE),
    Mutation(
        "gate-differences",
        "engine/party/gate.py",
        'totals["gate.differences"], DIFFERENCE',
        'totals["gate.differences"], 1',
        GATE,
    ),
    Mutation(
        "gate-ranges",
        "engine/party/gate.py",
        "self.below(x + total.bound, 0), self.below(total.bound - x, 0)",
        "self.below(x - x, 0), self.below(x - x, 0)",
        "tests/engine/test_gate.py::test_any_ring_element_out_of_range_is_seen",
    ),
    Mutation(
        "declared-outputs-only",
        "engine/party/gate.py",
        "if sorted(values) != sorted(output.name for output in outputs):",
        "if not values and outputs:",
        "tests/engine/test_gate.py::test_only_what_was_declared_opens",
    ),
    Mutation(
        "declared-controls-only",
        "engine/party/gate.py",
        "    _compare(controls, step.controls)\n",
        "",
        "tests/engine/test_gate.py::test_only_what_was_declared_opens",
    ),
    Mutation(
        "rows-agree-with-sums",
        "engine/analyses/glm_hidden.py",
        "return negation(mpc, mpc.reshape(inside, ()))",
        "return negation(mpc, mpc.reshape(inside * 0 + 1, ()))",
        "tests/engine/analyses/test_logistic.py::test_a_hospital_whose_rows_are_not_its_sums_is_found",
    ),
    Mutation(
        "rows-padded-to-the-band",
        "engine/party/runner.py",
        "    out = np.zeros(each.shape, dtype=values.dtype)\n    out[: len(values)] = values\n    return out",
        "    return values",
        "tests/engine/party/test_shared_rows.py::test_sizes_do_not_tell_how_many_rows_are_used",
    ),
    Mutation(
        "spec-signature",
        "engine/spec.py",
        "canonical.verify(public_key, DOMAIN, self.data, self.signature)",
        "pass",
        f"{POLICY}::test_every_flipped_bit_of_a_question_or_its_signature_is_refused",
    ),
    Mutation(
        "spec-canonical-bytes",
        "engine/spec.py",
        "if spec.to_bytes() != self.data:",
        "if not self.data:",
        f"{POLICY}::test_a_question_whose_keys_were_reordered_is_refused_even_when_signed",
    ),
    Mutation(
        "certificate-pin",
        "engine/transport/credentials.py",
        "if presented == [member.certificate_der]:",
        "if presented:",
        "tests/engine/transport/test_credentials.py::test_anybody_else_is_refused",
    ),
    Mutation(
        "paused",
        "engine/party/flow.py",
        "if self.book.standing.paused or self._stopping:",
        "if self._stopping:",
        "tests/engine/party/test_standing.py::test_a_paused_party_takes_no_new_question_and_finishes_what_it_has",
    ),
    Mutation(
        "revoked-researcher",
        "engine/party/jobs_service.py",
        "        self._flow.check_served(caller.name)\n",
        "",
        "tests/engine/party/test_standing.py::test_a_revoked_researcher_is_served_no_more_and_what_waits_ends_for_all",
    ),
    Mutation(
        "not-dumpable",
        "engine/party/server.py",
        "        hardening.unreadable()\n",
        "        pass\n",
        "tests/engine/party/test_serve.py::test_nobody_looks_into_a_daemon_but_the_owner_of_a_sandbox",
    ),
    Mutation(
        "session-hello-signature",
        "engine/transport/opening.py",
        "canonical.verify(self._charter.member(member).key_bytes, DOMAIN, signed, hello.signature)",
        "pass",
        "tests/engine/transport/test_opening.py::test_a_tampered_hello_opens_nothing",
    ),
    Mutation(
        "frames-in-the-plan",
        "engine/transport/inbox.py",
        "if header != (plan.kind, plan.dtype, plan.shape, plan.chunks, self._next) or len(frame.payload) != stop - start:",
        "if len(frame.payload) != stop - start:",
        "tests/engine/transport/test_frames.py::test_a_header_that_the_plan_does_not_hold_is_refused_before_allocation",
    ),
    Mutation(
        "due-frames-compared",
        "engine/transport/inbox.py",
        "or len(raw) != self._due_length or not raw.startswith(self._due_head):",
        "or not raw:",
        "tests/engine/transport/test_frames.py::test_only_the_very_next_message_is_due",
    ),
    Mutation(
        "journal-sync",
        "engine/party/journal.py",
        "            _write_all(self._handle, data, self._end)\n            self._sync(self._handle)",
        "            _write_all(self._handle, data, self._end)",
        "tests/engine/party/test_journal.py::test_a_record_that_does_not_reach_the_disk_is_taken_back",
    ),
    Mutation(
        "receipts-agree",
        "engine/client/reveal.py",
        "    receipts.agree(verified)\n",
        "",
        "tests/engine/test_client.py::test_a_signed_receipt_that_tells_another_story_is_withheld",
    ),
    Mutation(
        "receipt-signature",
        "engine/receipt.py",
        "canonical.verify(public_key, DOMAIN, data, signature)",
        "pass",
        "tests/engine/test_client.py::test_an_altered_release_is_withheld",
    ),
    Mutation(
        "size-of-packed-residues",
        "native/packing.py",
        "if view.nbytes != size or not view.c_contiguous:",
        "if not view.c_contiguous:",
        "tests/native/test_packing.py::test_wrong_sizes_are_refused_before_anything_is_made",
    ),
    Mutation(
        "packed-residues-below-their-primes",
        "native/packing.py",
        "if not lib.unpack_residues(",
        "if None is lib.unpack_residues(",
        "tests/native/test_packing.py::test_a_residue_that_is_its_prime_is_refused_wherever_it_stands",
    ),
    Mutation(
        "range-of-encoded-values",
        "native/embedding.py",
        '_checked_code(code, "a value is NaN, infinite, or too large for this scale and basis")',
        "pass",
        "tests/native/test_embedding.py::test_a_value_out_of_range_is_refused_wherever_it_stands",
    ),
    Mutation(
        "fourth-limb-agrees",
        "native/embedding.py",
        "int(len(basis) >= DECODED_LIMBS)",
        "0",
        "tests/native/test_embedding.py::test_the_fourth_limb_must_agree",
    ),
    Mutation(
        "special-primes-count-in-the-table",
        "protocols/ckks/parameters.py",
        "if self.modulus_bits > limit:",
        "if math.log2(math.prod(self.primes)) > limit:",
        f"{CKKS}/test_parameters.py::test_a_modulus_that_only_fits_without_the_special_primes_is_refused",
    ),
    Mutation(
        "ciphertexts-of-one-key",
        "protocols/ckks/ciphertext.py",
        "if a.key_id != b.key_id:",
        "if False:",
        f"{CKKS}/test_bad_input.py::test_another_key",
    ),
    Mutation(
        "relinearisation-key-of-the-ciphertext",
        "protocols/ckks/products.py",
        "if a.key_id != key.key_id:",
        "if False:",
        f"{CKKS}/test_bad_input.py::test_another_key",
    ),
    Mutation(
        "parameters-of-one-preset",
        "protocols/ckks/ciphertext.py",
        "if a is not b and a.id != b.id:",
        "if False:",
        f"{CKKS}/test_bad_input.py::test_other_parameters",
    ),
    Mutation(
        "scales-of-a-sum",
        "protocols/ckks/ciphertext.py",
        "if not same_scale(a, b):",
        "if False:",
        f"{CKKS}/test_bad_input.py::test_different_scales",
    ),
    Mutation(
        "no-overflow-of-a-ciphertext",
        "protocols/ckks/ciphertext.py",
        "if not self.context.fits(self.level, self.scale, self.estimate):",
        "if False:",
        f"{CKKS}/test_bad_input.py::test_products_that_outgrow_the_modulus",
    ),
    Mutation(
        "declared-bound-of-a-plaintext",
        "protocols/ckks/encoder.py",
        "if not _within(array, bound):",
        "if False:",
        f"{CKKS}/test_bad_input.py::test_numbers_that_are_none_or_beyond_the_bound",
    ),
    Mutation(
        "declared-bound-of-a-decryption",
        "protocols/ckks/encoder.py",
        "if not _within(values, (estimate.bound + estimate.error) * (1 + noise.FLOAT_ERROR)):",
        "if False:",
        f"{CKKS}/test_bad_input.py::test_a_value_larger_than_it_was_declared_shows_when_it_is_decrypted",
    ),
    Mutation(
        "noise-of-a-key",
        "protocols/ckks/keys.py",
        "return rns.sub(noise_polynomial(randomness, basis), product, basis, out=product)",
        "return rns.neg(product, basis, out=product)",
        f"{CKKS}/test_keys.py::test_a_public_key_is_an_encryption_of_zero",
    ),
    Mutation(
        "coins-of-an-encryption",
        "protocols/ckks/encryption.py",
        "ternary_coefficients(randomness, context.degree)",
        "ternary_coefficients(randomness, context.degree) ** 2",
        f"{CKKS}/test_keys.py::test_an_encryption_has_the_coins_of_its_stream",
    ),
    Mutation(
        "parameters-of-a-message",
        "protocols/ckks/wire.py",
        "if header.context_id != context.id:",
        "if False:",
        f"{CKKS}/test_wire.py::test_an_altered_field_is_refused",
    ),
    Mutation(
        "numbers-of-a-message",
        "protocols/ckks/wire.py",
        "if not (_positive(header.scale) and _positive(header.deviation) and 0 <= header.bound < math.inf):",
        "if False:",
        f"{CKKS}/test_wire.py::test_numbers_that_cannot_be_are_refused",
    ),
    Mutation(
        "secret-keys-stay",
        "protocols/ckks/keys.py",
        'raise TypeError("a secret key is not serialised or copied")',
        "return super().__reduce_ex__(protocol)",
        f"{CKKS}/test_keys.py::test_a_secret_key_is_not_shown_or_serialised_by_accident",
    ),
    Mutation(
        "encryption-of-zero",
        "protocols/ckks/multiparty/conversion.py",
        "rns.add(each.polynomials, zero_polynomials(key, 0, randomness), basis, out=place[:, None])",
        "place[:, None] = each.polynomials",
        f"{JOINT}/test_conversion.py::test_no_division_reads_a_column_because_of_the_encryption_of_zero",
    ),
    Mutation(
        "uniform-mask-of-a-decryption",
        "protocols/ckks/multiparty/conversion.py",
        "mask, noise = _uniform(randomness, basis, len(inner))",
        "mask, noise = _noise(randomness, basis, len(inner))",
        f"{JOINT}/test_conversion.py::test_no_crafted_ciphertext_reads_the_key_through_a_uniform_mask",
    ),
    Mutation(
        "one-share-for-each-ciphertext",
        "protocols/ckks/multiparty/conversion.py",
        "if name not in self._made and name not in names[:i]",
        "if True",
        f"{JOINT}/test_conversion.py::test_a_share_is_made_once_and_sent_again_byte_for_byte",
    ),
    Mutation(
        "comparison-of-joint-ciphertexts",
        "protocols/ckks/multiparty/conversion.py",
        "require_same(session, also, c1, among=session.hospitals)",
        "pass",
        f"{JOINT}/test_conversion.py::test_two_ciphertexts_to_two_peers_end_the_session",
    ),
    Mutation(
        "ciphertexts-of-this-session-alone",
        "protocols/ckks/multiparty/conversion.py",
        "if each.key_id != key.key_id:",
        "if False:",
        f"{JOINT}/test_conversion.py::test_what_does_not_fit_the_plan_is_refused",
    ),
    Mutation(
        "wrap-count",
        "protocols/ckks/multiparty/unwrap.py",
        "wraps = steps - mpc.sum(below, 0)",
        "wraps = 0 * mpc.sum(below, 0)",
        f"{JOINT}/test_unwrap.py::test_every_value_comes_back_whatever_masked_it",
    ),
    Mutation(
        "commitment-to-a-nonce",
        "protocols/ckks/multiparty/agreement.py",
        "if _commitment(session, who, each) != commitments[who].tobytes():",
        "if False:",
        f"{JOINT}/test_agreement.py::test_a_nonce_that_was_not_committed_to_ends_the_session",
    ),
    Mutation(
        "comparison-of-joint-keys",
        "protocols/ckks/multiparty/keys.py",
        "require_same(session, common.key_id, first, second)",
        "pass",
        f"{JOINT}/test_keys.py::test_a_sum_that_differs_between_two_peers_ends_the_session",
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
        "seed-among-what-is-compared",
        "protocols/ckks/multiparty/keys.py",
        "require_same(session, common.key_id, first, second)",
        "require_same(session, first, second)",
        f"{JOINT}/test_keys.py::test_nonces_that_differ_between_peers_end_the_session",
    ),
    Mutation(
        "rows-the-rules-have-seen",
        "engine/party/runner.py",
        "if [digest.to_bytes() for digest in digests] != [digest.to_bytes() for digest in self.digests]:",
        "if False:",
        "tests/engine/party/test_own_data.py::test_rows_that_change_after_the_rules_have_seen_them_end_the_job",
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
        "relay's-members-by-their-keys",
        "engine/relay/words.py",
        "    canonical.verify(member.key_bytes, DOMAIN, nonce + body, signature)\n",
        "",
        f"{RELAY}::test_nobody_waits_or_dials_with_another_key_than_the_charters",
    ),
    Mutation(
        "relay's-fresh-bytes",
        "engine/relay/server.py",
        "os.urandom(NONCE_SIZE)",
        "bytes(NONCE_SIZE)",
        f"{RELAY}::test_a_signature_serves_once",
    ),
    Mutation(
        "relay's-strangers",
        "engine/relay/server.py",
        " or self._strangers >= self._limits.strangers",
        "",
        f"{RELAY}::test_strangers_and_all_lines_together_are_bounded",
    ),
    Mutation(
        "relay-held-up-by-who-does-not-read",
        "engine/relay/line.py",
        "            await sink.writer.drain()\n",
        "",
        f"{RELAY}::test_a_side_that_does_not_read_holds_the_other_up_instead_of_filling_memory",
    ),
    Mutation(
        "door-for-the-own-user",
        "engine/relay/doors.py",
        "return bool(user == os.geteuid())",
        "return True",
        f"{RELAY}::test_a_door_opens_to_the_own_user_only",
    ),
    Mutation(
        "floor-of-an-analysis-own-counts",
        "engine/party/sitting.py",
        "analyses.under(question.analysis, agreed.floors.cell)",
        "question.analysis",
        f"{TERMS}::test_an_analysis_masks_its_own_counts_by_the_strictest_floor",
    ),
]


def copied(folder: Path) -> Path:
    """The packages, to be changed freely."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def run(folder: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)


def mutated(mutation: Mutation, folders: SimpleQueue[Path]) -> subprocess.CompletedProcess[str] | None:
    """The named test's run without the guard, in a copy of its own; None when the guard's text is not there exactly once."""
    folder = folders.get()
    file = folder / mutation.file
    original = file.read_text(encoding="utf-8")
    try:
        if original.count(mutation.guard) != 1:
            return None
        file.write_text(original.replace(mutation.guard, mutation.without), encoding="utf-8")
        return run(folder, [mutation.test])
    finally:
        file.write_text(original, encoding="utf-8")
        folders.put(folder)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str] | None]]]:
    """All mutations that were asked for, as many at a time as there are processors: each in a copy of its own."""
    asked = [
        item.callspec.params["mutation"] for item in request.session.items if "outcomes" in getattr(item, "fixturenames", ())
    ]
    folders: SimpleQueue[Path] = SimpleQueue()
    workers = max(1, min(os.cpu_count() or 1, len(asked)))
    for _ in range(workers):
        folders.put(copied(tmp_path_factory.mktemp("mutants")))
    with ThreadPoolExecutor(workers) as pool:
        yield {mutation.name: pool.submit(mutated, mutation, folders) for mutation in asked}


def test_all_named_tests_pass_with_the_guards_in_place(tmp_path: Path) -> None:
    done = run(copied(tmp_path), sorted({mutation.test for mutation in MUTATIONS}))
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_without_the_guard_a_named_test_turns_red(mutation: Mutation, outcomes: dict[str, Future[Any]]) -> None:
    done = outcomes[mutation.name].result()
    assert done is not None, "the guard's text has changed; change it here too"
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
