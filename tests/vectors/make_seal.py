"""Makes seal.json with Microsoft SEAL, through TenSEAL (`make setup-peers`): python tests/vectors/make_seal.py

Polynomials are listed by coefficients, each limb in [0, p). SEAL holds them by values: word i of a limb is the polynomial at
psi^(2 r + 1), r the bits of i in reverse and psi the smallest primitive 2N-th root of unity modulo p. The sum that takes them
back is written out below, in Python's integers, so that the file says nothing about anybody's transform.

SEAL's slot k is the polynomial at zeta^(3^k), zeta = exp(i pi / N).
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as seal

SCALE_BITS = 40
SEED = 20260104
Words = list[list[int]]


class Library:
    """SEAL at one degree, far below any security: the vectors stay small."""

    def __init__(self, degree: int, bits: tuple[int, ...]) -> None:
        self.degree = degree
        parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        parameters.set_poly_modulus_degree(degree)
        moduli = seal.CoeffModulus.Create(degree, list(bits))
        parameters.set_coeff_modulus(moduli)
        self.primes = [modulus.value() for modulus in moduli]
        self.context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.NONE)
        self.encoder = seal.CKKSEncoder(self.context)

    def encoded(self, values: np.ndarray) -> Any:
        plain = seal.Plaintext()
        self.encoder.encode(values.tolist(), 2.0**SCALE_BITS, plain)
        return plain

    def coefficients(self, word: Any, first: int = 0) -> Words:
        """Of the ciphertext's limbs, from `word(first)` on."""
        limbs = self.primes[:-1]
        rows = [[word(first + i * self.degree + j) for j in range(self.degree)] for i in range(len(limbs))]
        return [_interpolated(row, p, self.degree) for row, p in zip(rows, limbs, strict=True)]


def _interpolated(values: list[int], p: int, n: int) -> list[int]:
    """a_j = 1/n sum_i a(w_i) w_i^-j, the w_i being the odd powers of psi in SEAL's order."""
    bits = n.bit_length() - 1
    psi = _smallest_root(p, n)
    points = [pow(psi, -(2 * int(f"{i:0{bits}b}"[::-1], 2) + 1), p) for i in range(n)]
    return [pow(n, -1, p) * sum(v * pow(w, j, p) for v, w in zip(values, points, strict=True)) % p for j in range(n)]


def _smallest_root(p: int, n: int) -> int:
    """The smallest psi with psi^n = -1 modulo p."""
    one = next(r for g in range(2, p) if pow(r := pow(g, (p - 1) // (2 * n), p), n, p) == p - 1)
    return min(pow(one, k, p) for k in range(1, 2 * n, 2))


def encoding(name: str, degree: int, bits: tuple[int, ...], size: float) -> dict[str, Any]:
    """A vector of complex numbers up to `size`, and its plaintext; or that SEAL refuses."""
    library = Library(degree, bits)
    rng = np.random.default_rng([SEED, degree])
    values = size * (rng.uniform(-1, 1, degree // 2) + 1j * rng.uniform(-1, 1, degree // 2))
    case = {"name": name, "degree": degree, "primes": library.primes[:-1], "scale_bits": SCALE_BITS, "values": _pairs(values)}
    try:
        plain = library.encoded(values)
    except ValueError as refusal:
        return {**case, "refused": str(refusal)}
    return {**case, "plaintext": library.coefficients(plain.data)}


def encryption(name: str, degree: int, bits: tuple[int, ...]) -> dict[str, Any]:
    """The secret key; public-key encryptions of x and y; x y in three parts; x rotated by one slot."""
    library = Library(degree, bits)
    rng = np.random.default_rng([SEED, degree, 1])
    x, y = (rng.uniform(-1, 1, degree // 2) + 1j * rng.uniform(-1, 1, degree // 2) for _ in range(2))
    maker = seal.KeyGenerator(library.context)
    public, galois, evaluator = seal.PublicKey(), seal.GaloisKeys(), seal.Evaluator(library.context)
    maker.create_public_key(public)
    maker.create_galois_keys([3], galois)
    first, second, product, rotated = (seal.Ciphertext() for _ in range(4))
    encryptor = seal.Encryptor(library.context, public)
    encryptor.encrypt(library.encoded(x), first)
    encryptor.encrypt(library.encoded(y), second)
    evaluator.multiply(first, second, product)
    evaluator.rotate_vector(first, 1, galois, rotated)
    secret = maker.secret_key()
    return {
        "name": name,
        "degree": degree,
        "primes": library.primes[:-1],
        "scale_bits": SCALE_BITS,
        "x": _pairs(x),
        "y": _pairs(y),
        "secret": library.coefficients(secret.data().data),
        **{
            key: [library.coefficients(each.dyn_array().at, part * degree * (len(bits) - 1)) for part in range(each.size())]
            for key, each in (("encrypted_x", first), ("encrypted_y", second), ("product", product), ("rotated_x", rotated))
        },
    }


def _pairs(values: np.ndarray) -> list[list[float]]:
    return [[float(v.real), float(v.imag)] for v in values]


def main() -> None:
    cases = {
        "library": f"Microsoft SEAL in TenSEAL {version('tenseal')}",
        "slots": "slot k is the polynomial at zeta^(3^k), zeta = exp(i pi / degree)",
        "encodings": [
            encoding("three limbs", 32, (47, 40, 40, 47), 1.0),
            encoding("one limb", 64, (47, 47), 8.0),
            encoding("large values", 128, (47, 40, 47), 1e6),
            encoding("beyond the modulus", 32, (47, 47), 1e6),
        ],
        "encryptions": [encryption("two limbs", 64, (47, 40, 47))],
    }
    path = Path(__file__).with_name("seal.json")
    path.write_text(json.dumps(cases) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
