"""Guards of what the kernels are given."""

from tests.mutations.mutation import Mutation

GUARDS = [
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
]
