"""Microsoft SEAL as TenSEAL ships it, through its `sealapi`: one process, one thread, our own primes.

SEAL takes the primes that it is given, so its ciphertexts have the limbs of ours; its special prime is the largest of ours, one
instead of as many as a group of digits needs, and its digits are single limbs. Lists of Python numbers are no part of what is
timed: SEAL encodes one number (its transform is the same for any), and the time that a list of its answers takes is subtracted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from benchmarks import ckks_inputs, trio
from benchmarks.clock import timed_alone
from benchmarks.peers.seal_polynomial import Chebyshev

GENERATOR = 3  # SEAL orders slots by the powers of 3: one step is the element 3
Answer = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """One context with its keys, and the two vectors encoded and encrypted."""

    degree: int
    scale: float
    context: Any
    keys: dict[str, Any]
    encoder: Any
    encryptor: Any
    decryptor: Any
    evaluator: Any
    plain: tuple[Any, Any]
    encrypted: tuple[Any, Any]

    def opened(self, ciphertext: Any) -> np.ndarray:
        plain = seal.Plaintext()
        self.decryptor.decrypt(ciphertext, plain)
        return self.decoded(plain)

    def decoded(self, plain: Any) -> np.ndarray:
        return np.array(self.encoder.decode_double(plain))


@lru_cache(maxsize=2)  # one for transforms of a limb, one for all else
def setting(degree: int, primes: tuple[int, ...], scale_bits: int) -> Setting:
    """`primes`: the ciphertexts', then the special one."""
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parameters.set_poly_modulus_degree(degree)
    parameters.set_coeff_modulus([seal.Modulus(p) for p in primes])
    context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ValueError(f"SEAL refuses these parameters: {context.parameters_error_message()}")
    keys, encoder = _keys(context), seal.CKKSEncoder(context)
    encryptor = seal.Encryptor(context, keys["public"], keys["secret"])
    scale = 2.0**scale_bits
    plain = tuple(
        _made(seal.Plaintext, lambda *given: encoder.encode(given[0], scale, given[1]), values.tolist())
        for values in ckks_inputs.vectors(degree)
    )
    encrypted = tuple(_made(seal.Ciphertext, encryptor.encrypt, each) for each in plain)
    decryptor, evaluator = seal.Decryptor(context, keys["secret"]), seal.Evaluator(context)
    return Setting(degree, scale, context, keys, encoder, encryptor, decryptor, evaluator, plain, encrypted)


def _keys(context: Any) -> dict[str, Any]:
    maker = seal.KeyGenerator(context)
    keys = {"secret": maker.secret_key(), "public": seal.PublicKey(), "relin": seal.RelinKeys(), "galois": seal.GaloisKeys()}
    maker.create_public_key(keys["public"])
    maker.create_relin_keys(keys["relin"])
    maker.create_galois_keys([pow(GENERATOR, ckks_inputs.STEP)], keys["galois"])
    return keys


def _made(kind: Callable[[], Any], fill: Callable[..., None], *given: Any) -> Any:
    """SEAL's functions write into their last argument."""
    made = kind()
    fill(*given, made)
    return made


# -- what is timed ----------------------------------------------------------------------------------------------------------


def _evaluated(name: str, s: Setting) -> Answer:
    """The ciphertext is decrypted and compared."""
    seconds, peak, out = timed_alone(lambda: CIPHERTEXTS[name](s))
    return {"seconds": seconds, "peak_rss": peak, "error": ckks_inputs.error(name, s.degree, s.opened(out))}


def _encode(name: str, s: Setting) -> Answer:
    one = [float(ckks_inputs.vectors(s.degree)[0][0])]
    out = seal.Plaintext()
    seconds, peak, _ = timed_alone(lambda: s.encoder.encode(one, s.scale, out))
    found = s.decoded(out)
    found[0] -= one[0]
    rest = ckks_inputs.error(name, s.degree, s.decoded(s.plain[0]))
    return {"seconds": seconds, "peak_rss": peak, "error": max(float(np.max(np.abs(found))), rest)}


def _decode(name: str, s: Setting) -> Answer:
    seconds, peak, found = timed_alone(lambda: s.encoder.decode_double(s.plain[0]))
    as_list, _, _ = timed_alone(np.array(found).tolist)
    return {"seconds": seconds - as_list, "peak_rss": peak, "error": ckks_inputs.error(name, s.degree, np.array(found))}


def _decrypt(name: str, s: Setting) -> Answer:
    out = seal.Plaintext()
    seconds, peak, _ = timed_alone(lambda: s.decryptor.decrypt(s.encrypted[0], out))
    return {"seconds": seconds, "peak_rss": peak, "error": ckks_inputs.error(name, s.degree, s.decoded(out))}


def _ntt(name: str, s: Setting) -> Answer:
    """A ciphertext goes back and forth, both polynomials a call; the time is that of one limb."""
    there, back = s.evaluator.transform_from_ntt_inplace, s.evaluator.transform_to_ntt_inplace
    moved = _made(seal.Ciphertext, s.encryptor.encrypt, s.plain[0])
    first, second = (back, there) if name == "ntt forward" else (there, back)
    if first is back:
        there(moved)
    seconds, peak, _ = timed_alone(lambda: first(moved), before=_after_first(lambda: second(moved)))
    if first is there:
        back(moved)
    error = float(np.max(np.abs(s.opened(moved) - ckks_inputs.vectors(s.degree)[0])))
    return {"seconds": seconds / (moved.size() * moved.coeff_modulus_size()), "peak_rss": peak, "error": error}


def _after_first(undo: Callable[[], object]) -> Callable[[], object]:
    """Undoes the call before, when there was one."""
    calls = iter(range(1 << 30))
    return lambda: undo() if next(calls) else None


def _wire(name: str, s: Setting) -> Answer:
    """`bytes_sent` counts the residues as words, as SEAL writes them; `bytes_zstd` what it writes by default, `bytes_seeded` so
    with a seed instead of the uniform half."""
    with tempfile.TemporaryDirectory() as folder:
        full, seeded = Path(folder) / "full", Path(folder) / "seeded"
        made = _made(seal.Ciphertext, s.encryptor.encrypt_symmetric, s.plain[0])
        made.save(str(full))
        seconds, peak, _ = timed_alone(lambda: s.encryptor.encrypt_symmetric(s.plain[0]).save(str(seeded)))
        sizes = {"bytes_zstd": full.stat().st_size, "bytes_seeded": seeded.stat().st_size}
        read = seal.Ciphertext()
        read.load(s.context, str(seeded))
    words = made.size() * made.coeff_modulus_size() * made.poly_modulus_degree()
    error = ckks_inputs.error(name, s.degree, s.opened(read))
    return {"seconds": seconds, "peak_rss": peak, "error": error, "bytes_sent": 8 * words, **sizes}


def _multiply(s: Setting) -> Any:
    out = _made(seal.Ciphertext, s.evaluator.multiply, *s.encrypted)
    s.evaluator.relinearize_inplace(out, s.keys["relin"])
    s.evaluator.rescale_to_next_inplace(out)
    return out


def _times_plain(s: Setting) -> Any:
    out = _made(seal.Ciphertext, s.evaluator.multiply_plain, s.encrypted[0], s.plain[1])
    s.evaluator.rescale_to_next_inplace(out)
    return out


def _chebyshev(s: Setting) -> Any:
    levels, data = [], s.context.last_context_data()
    while data is not None and len(levels) < s.encrypted[0].coeff_modulus_size():
        levels.append((data.parms_id(), data.parms().coeff_modulus()[-1].value()))
        data = data.prev_context_data()
    weights = ckks_inputs.coefficients()
    powers = Chebyshev(s.evaluator, s.encoder, s.keys["relin"], levels, {1: s.encrypted[0]})
    return powers.evaluate(weights, len(levels) - 1 - len(weights).bit_length(), s.scale)


CIPHERTEXTS: dict[str, Callable[[Setting], Any]] = {
    "ckks encrypt": lambda s: _made(seal.Ciphertext, s.encryptor.encrypt, s.plain[0]),
    "ckks add": lambda s: _made(seal.Ciphertext, s.evaluator.add, *s.encrypted),
    "ckks times plain": _times_plain,
    "ckks multiply": _multiply,
    "ckks rotate": lambda s: _made(
        seal.Ciphertext, s.evaluator.rotate_vector, s.encrypted[0], ckks_inputs.STEP, s.keys["galois"]
    ),
    "ckks chebyshev": _chebyshev,
}
RUNS: dict[str, Callable[[str, Setting], Answer]] = {
    "ntt forward": _ntt,
    "ntt inverse": _ntt,
    "ckks encode": _encode,
    "ckks decode": _decode,
    "ckks decrypt": _decrypt,
    "ckks wire": _wire,
    **dict.fromkeys(CIPHERTEXTS, _evaluated),
}


def handle(request: dict[str, Any]) -> Answer:
    name = request["work"]
    if name not in RUNS:
        return {"unable": f"SEAL has no {name}"}
    return RUNS[name](name, setting(request["n"], tuple(request["primes"]), request["scale_bits"]))


if __name__ == "__main__":
    trio.serve(handle)
