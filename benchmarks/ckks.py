"""CKKS on one thread: transforms of a limb, then the scheme's operations, in every instruction set, beside SEAL.

`engine` is the instruction set, `n` the ring's degree N, `d` the limbs of the ciphertexts. Transforms and products of limbs count
the elements of a sample that Python's integers do not confirm; every other row has the largest difference, over all slots,
between the clear and what the very run that was timed decrypts to (for encoding and decoding: decodes to).

Seconds are those of the thread on its core (`clock.timed_alone`), SEAL's alike: what else the machine does is left out.
SEAL computes modulo the same primes, from the same vectors at the same scale and level. Its digits are single limbs, and it takes
the first of our special primes where groups of limbs need several. `ratio_to_tenseal` is our seconds divided by SEAL's, below 1
where ours is faster; on the row of a ciphertext's size it is our bytes divided by SEAL's residues as words, and the seconds are
those of encrypting and writing one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

import native
from benchmarks import ckks_inputs, table
from benchmarks.alternate import alternate
from benchmarks.clock import timed_alone
from benchmarks.peers import Peer, Skipped
from benchmarks.table import Row
from native import _load, rns
from protocols import ckks
from protocols.ckks import PRESETS, Preset
from protocols.prf import PrfStream

KEY = bytes(range(16))
POLYNOMIALS = 2  # what SEAL transforms at a time: a ciphertext, here of one limb
LIMB = 1  # which: all limbs but the first have its size
LIMB_SCALE_BITS = 36  # below the limb
SAMPLE = 4  # elements of each polynomial that Python's integers confirm
Measured = dict[str, Any]


@dataclass(frozen=True)
class Limbs:
    """Two random polynomials of one limb, (2, 1, N), and the root of each place of its transform, (1, N)."""

    basis: rns.Basis
    given: np.ndarray
    roots: np.ndarray


def limbs_of(preset: Preset, isa: str) -> Limbs:
    _load.select(isa)
    basis = rns.Basis(preset.degree, [preset.primes[LIMB]])
    shape = (POLYNOMIALS, 1, preset.degree)
    words = np.random.default_rng([ckks_inputs.SEED, preset.degree]).integers(0, 2**62, shape, dtype=np.uint64)
    monomial = np.zeros(shape[1:], np.uint64)
    monomial[:, 1] = 1
    return Limbs(basis, words % basis.values[:, None], rns.forward(monomial, basis))


def _transform(limbs: Limbs, kernel: Callable[..., np.ndarray], wrong: Callable[..., int]) -> Measured:
    x = limbs.given.copy()

    def restore() -> None:
        x[...] = limbs.given

    seconds, peak, _ = timed_alone(lambda: kernel(x, limbs.basis), before=restore)
    return _confirmed(seconds / POLYNOMIALS, peak, sum(wrong(limbs, *pair) for pair in zip(limbs.given, x, strict=True)))


def _product(limbs: Limbs) -> Measured:
    a, b = limbs.given, limbs.given[::-1].copy()
    out = np.empty_like(a)
    seconds, peak, _ = timed_alone(lambda: rns.mul(a, b, limbs.basis, out=out))
    found, left, right = (each[..., :SAMPLE].astype(object) for each in (out, a, b))
    wrong = np.count_nonzero(found != left * right % limbs.basis.primes[0])
    return _confirmed(seconds / POLYNOMIALS, peak, int(wrong))


def _confirmed(seconds: float, peak: float, wrong: int) -> Measured:
    return {"seconds": seconds, "peak_rss": peak, "error": float(wrong), "error_unit": table.MISMATCHES}


def _wrong_values(limbs: Limbs, coefficients: np.ndarray, values: np.ndarray) -> int:
    """How many of a sample of places are not the polynomial at that place's root, or have no root of X^N + 1 of their own."""
    p, n, roots = limbs.basis.primes[0], limbs.basis.degree, limbs.roots[0]
    wrong, falling = n - len(np.unique(roots)), coefficients[0, ::-1].tolist()
    for place in range(SAMPLE // 2, n, n // SAMPLE):
        root, value = int(roots[place]), 0
        for coefficient in falling:
            value = (value * root + coefficient) % p
        wrong += value != int(values[0, place]) or pow(root, n, p) != p - 1
    return wrong


KERNELS: dict[str, Callable[[Limbs], Measured]] = {
    "ntt forward": lambda limbs: _transform(limbs, rns.forward, _wrong_values),
    "ntt inverse": lambda limbs: _transform(limbs, rns.inverse, lambda limbs, given, found: _wrong_values(limbs, found, given)),
    "limb product": _product,
}


# -- the scheme -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One context with its keys for one instruction set, and the two vectors encoded and encrypted."""

    context: ckks.Context
    secret: ckks.SecretKey
    public: ckks.PublicKey
    relin: ckks.RelinearisationKey
    galois: ckks.GaloisKeys
    randomness: PrfStream
    plain: tuple[ckks.Plaintext, ckks.Plaintext]
    encrypted: tuple[ckks.Ciphertext, ckks.Ciphertext]


def setting_of(preset: Preset, isa: str) -> Setting:
    _load.select(isa)
    context, randomness = ckks.context_of(preset), PrfStream(KEY)
    secret = ckks.secret_key(context, randomness)
    public = ckks.public_key(secret, randomness)
    relin, galois = ckks.relinearisation_key(secret, randomness), ckks.galois_keys(secret, [ckks_inputs.STEP], randomness)
    x, y = (ckks.encode(context, values) for values in ckks_inputs.vectors(preset.degree))
    encrypted = ckks.encrypt(x, public, randomness), ckks.encrypt(y, public, randomness)
    return Setting(context, secret, public, relin, galois, randomness, (x, y), encrypted)


def _against_clear(name: str, s: Setting, seconds: float, peak: float, found: np.ndarray) -> Measured:
    error = ckks_inputs.error(name, s.context.degree, found.real)  # as SEAL reads them
    return {"seconds": seconds, "peak_rss": peak, "error": error, "error_unit": table.ABSOLUTE}


def _encode(name: str, s: Setting) -> Measured:
    values = ckks_inputs.vectors(s.context.degree)[0]
    seconds, peak, found = timed_alone(lambda: ckks.encode(s.context, values))
    return _against_clear(name, s, seconds, peak, ckks.decode(found))


def _decode(name: str, s: Setting) -> Measured:
    seconds, peak, found = timed_alone(lambda: ckks.decode(s.plain[0]))
    return _against_clear(name, s, seconds, peak, found)


def _decrypt(name: str, s: Setting) -> Measured:
    seconds, peak, found = timed_alone(lambda: ckks.decrypt(s.encrypted[0], s.secret))
    return _against_clear(name, s, seconds, peak, ckks.decode(found))


def _wire(name: str, s: Setting) -> Measured:
    def run() -> bytes:
        return ckks.write_ciphertext(ckks.encrypt_with_secret(s.plain[0], s.secret, s.randomness))

    seconds, peak, written = timed_alone(run)
    read = ckks.read_ciphertext(s.context, written)
    return {**_against_clear(name, s, seconds, peak, ckks.decode(ckks.decrypt(read, s.secret))), "bytes_sent": len(written)}


def _evaluated(name: str, s: Setting) -> Measured:
    seconds, peak, found = timed_alone(lambda: CIPHERTEXTS[name](s))
    return _against_clear(name, s, seconds, peak, ckks.decode(ckks.decrypt(found, s.secret)))


CIPHERTEXTS: dict[str, Callable[[Setting], ckks.Ciphertext]] = {
    "ckks encrypt": lambda s: ckks.encrypt(s.plain[0], s.public, s.randomness),
    "ckks add": lambda s: ckks.add(*s.encrypted),
    "ckks times plain": lambda s: ckks.rescale(ckks.multiply_plain(s.encrypted[0], s.plain[1])),
    "ckks multiply": lambda s: ckks.multiply(*s.encrypted, s.relin),
    "ckks rotate": lambda s: ckks.rotate(s.encrypted[0], ckks_inputs.STEP, s.galois),
    "ckks chebyshev": lambda s: ckks.evaluate(s.encrypted[0], ckks_inputs.coefficients(), s.relin),
}
OPERATIONS: dict[str, Callable[[str, Setting], Measured]] = {
    "ckks encode": _encode,
    "ckks decode": _decode,
    "ckks decrypt": _decrypt,
    "ckks wire": _wire,
    **dict.fromkeys(CIPHERTEXTS, _evaluated),
}
DEEP = ("ckks chebyshev",)  # needs the levels of the largest preset
NAMES = (*KERNELS, *OPERATIONS)


# -- rows -------------------------------------------------------------------------------------------------------------------


def measure(
    names: Sequence[str] = (),
    degrees: Sequence[int] = (),
    isas: Sequence[str] = (),
    repeat: int = 5,
    peers: Sequence[Peer] = (),
) -> Iterator[Row]:
    """One row for each degree, operation and instruction set (all by default), then SEAL's where it has that operation."""
    chosen = [isa for isa in native.isas() if not isas or isa in isas]
    in_use = native.isa()
    try:
        for degree in degrees or PRESETS:
            bench = Bench(PRESETS[degree], chosen, repeat, peers)
            for name in names or NAMES:
                if name not in DEEP or degree == max(PRESETS):
                    yield from bench.rows(name)
    finally:
        _load.select(in_use)


@dataclass
class Bench:
    """One preset; keys are made when an operation first needs them."""

    preset: Preset
    isas: Sequence[str]
    repeat: int
    peers: Sequence[Peer]

    @cached_property
    def limbs(self) -> dict[str, Limbs]:
        return {isa: limbs_of(self.preset, isa) for isa in self.isas}

    @cached_property
    def settings(self) -> dict[str, Setting]:
        return {isa: setting_of(self.preset, isa) for isa in self.isas}

    def rows(self, name: str) -> Iterator[Row]:
        ours = {isa: partial(self._ours, name, isa) for isa in self.isas}
        skipped: dict[str, str] = {}
        theirs = {peer.name: partial(self._theirs, name, peer, skipped) for peer in self.peers if peer.name == "tenseal"}
        if name == "limb product":
            theirs = {}
        found = list(alternate(ours, theirs, self.repeat))
        yield from (_by_size(row, found) if name == "ckks wire" else row for row in found)
        for peer, why in skipped.items():
            yield table.skipped(name, peer, why, mode="SEAL", n=self.preset.degree, d=len(self._primes(name)))

    def _primes(self, name: str) -> tuple[int, ...]:
        return self.preset.primes[LIMB : LIMB + 1] if name in KERNELS else self.preset.primes

    def _ours(self, name: str, isa: str) -> Row:
        given = self.limbs[isa] if name in KERNELS else self.settings[isa]
        _load.select(isa)
        mode = "one limb" if name in KERNELS else f"{len(self.preset.special)} special"
        fixed = {"mode": mode, "parties": 1, "n": self.preset.degree, "d": len(self._primes(name)), "rounds": 0, "bytes_sent": 0}
        found = _measured(name, given)
        return table.row(name, isa, **{**fixed, "joint_seconds": found["seconds"], **found})

    def _theirs(self, name: str, peer: Peer, skipped: dict[str, str]) -> Row | None:
        primes = self._primes(name)
        scale_bits = LIMB_SCALE_BITS if name in KERNELS else self.preset.scale_bits
        given = {"primes": [*primes, self.preset.special[0]], "scale_bits": scale_bits}
        found = peer.run(name, self.preset.degree, len(primes), **given)
        if isinstance(found, Skipped):
            skipped[peer.name] = found.why
            return None
        return {**found, "rounds": 0, "bytes_sent": found["bytes_sent"] or 0}


def _measured(name: str, given: Any) -> Measured:
    return KERNELS[name](given) if name in KERNELS else OPERATIONS[name](name, given)


def _by_size(row: Row, rows: Sequence[Row]) -> Row:
    """Ratios of bytes in the place of those of seconds."""
    theirs = {f"ratio_to_{each['engine']}": each["bytes_sent"] for each in rows}
    return {**row, **{name: row["bytes_sent"] / size for name, size in theirs.items() if name in row}}
