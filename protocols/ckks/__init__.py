"""RNS-CKKS: approximate arithmetic on encrypted vectors. Parameters, bounds and sources in one page.

Ring and modulus. R = Z[X] / (X^N + 1), residues modulo q_0 ... q_l at level l, special primes P for key switching. log2(QP)
counts all of them; the limit is the 128-bit classical row of the 2024 table (eprint 2024/463) for ternary secrets, and a preset
beyond it cannot be made.

    preset    N      q_0, q_1 ... q_L  P       digits   log2 QP  limit  scale  products
    N8192     8192   47, 2 x 40        47      3 x 1    174      214    2^40   2
    N16384    16384  47, 6 x 40        2 x 47  2,2,2,1  381      430    2^40   6
    N32768    32768  47, 10 x 42       4 x 47  4, 4, 3  655      868    2^42   10

All primes are 1 modulo 2N and below 2^47, the largest such ones (`ntt_primes`). P exceeds every digit, so a key switch adds less
than a thousandth of the error of the rescale after it. A rotation has none, and adds up to four times that of a fresh ciphertext
(N8192; a thirtieth at N16384).

Distributions. Secret and ephemeral secret: uniform in {-1, 0, 1}, never sparse. Noise: centred binomial of 42 coins, variance
sigma^2 = 10.5, at most 21. All from AES-128 in counter mode under a stream that the caller gives; uniform halves from public
seeds of 16 bytes.

Errors. In slots, relative to the scale D, root mean square; h = number of ternary secrets that the secret is a sum of (noise.py
derives them):

    encoding                     sqrt(N / 12) / D
    fresh, secret key            sqrt(N sigma^2) / D
    fresh, public key            that of a rescale: encrypted modulo Q p, p the first prime of P, and divided by p
    rescale, division by P       sqrt(N / 12 (1 + h N 2/3)) / D
    key switch                   N sigma sqrt(sum over digits Q_d^2 / 12) / (P D)
    sum, product                 d + d',   B d' + B' d + sqrt(2) d d'      for |values| <= B, B' and errors d, d'

A ciphertext carries its declared bound B and deviation d; what is decrypted is within 20 d of the value, in every slot, but for
a chance of 2^-54 (20, and not 6: errors are products of two near-Gaussians). Measured: the largest error over all slots is a
fourth to an eighth of that after one operation, a seventieth after a polynomial of degree 63. The worst cases, for every key and
coin, are `noise.worst_...`. 2 D (B + 20 d) < Q_l is checked whenever a ciphertext is made: an overflow is an error before it
happens.

Adversary. Semi-honest holders of ciphertexts and public keys learn nothing (ring-LWE, circular for the keys s^2 -> s and s(X^g)
-> s). No circuit privacy: a ciphertext multiplied by a plaintext shows that plaintext to whoever knows both, unless an
encryption of zero (`encrypt_zero`) is added. No security against whoever sees decryptions: their error depends on the key (Li
and Micciancio, eprint 2020/1533). Not malleability-proof: anyone can add. The kernels do not branch or index on secrets.

Users. The engine `ckks` (multiparty/) makes joint keys and turns sums into shares: it takes contexts, the preset N32768,
encoding, encryptions of zero, sums, products, automorphisms and series. The package is also a library for the holder of one key,
which the engine never is. Only that use, tests and benchmarks need the presets N8192 and N16384, the keys that one holder makes
(`public_key`, `relinearisation_key`, `galois_keys`), `encrypt`, `encrypt_with_secret`, `decrypt` and `decode`, rotations and sums
of slots (`rotate`, `rotate_many`, `conjugate`, `inner_sum`), `weighted_sum`, and the bytes of wire.

Sources: Cheon, Kim, Kim, Song, ASIACRYPT 2017 (eprint 2016/421); its full RNS form, SAC 2018 (eprint 2018/931); hybrid key
switching, Han and Ki, CT-RSA 2020 (eprint 2019/688); hoisting, Halevi and Shoup, CRYPTO 2018 (eprint 2018/244); polynomials,
Bossuat et al., EUROCRYPT 2021 (eprint 2020/1203); average-case errors, Costache et al. (eprint 2022/162).

    parameters  presets                     keys         secret, public, relinearisation, Galois
    context     tables of a preset          encryption   both ways
    noise       errors                      arithmetic   sums, products with what is public
    encoder     vectors and polynomials     products     of ciphertexts
    ciphertext  the objects                 rotations    of slots, and sums of slots
    wire        bytes                       polynomial   in the Chebyshev basis
"""

from protocols.ckks.arithmetic import (
    add,
    add_constant,
    add_plain,
    drop_to,
    inner_product,
    multiply_plain,
    negate,
    rescale,
    scale_for,
    stretched,
    subtract,
    weighted_sum,
)
from protocols.ckks.ciphertext import Ciphertext, Plaintext
from protocols.ckks.context import Context, context_of
from protocols.ckks.encoder import decode, encode
from protocols.ckks.encryption import decrypt, encrypt, encrypt_with_secret, encrypt_zero
from protocols.ckks.keys import (
    GaloisKeys,
    PublicKey,
    RelinearisationKey,
    SecretKey,
    SwitchingKey,
    galois_keys,
    public_key,
    relinearisation_key,
    secret_key,
)
from protocols.ckks.noise import Estimate
from protocols.ckks.parameters import N8192, N16384, N32768, PRESETS, Preset
from protocols.ckks.polynomial import evaluate, evaluate_many, interpolate, sigmoid
from protocols.ckks.products import multiply, relinearise, tensor
from protocols.ckks.rotations import conjugate, inner_sum, inner_sum_steps, rotate, rotate_many
from protocols.ckks.wire import (
    read_ciphertext,
    read_galois_keys,
    read_public_key,
    read_relinearisation_key,
    write_ciphertext,
    write_galois_keys,
    write_public_key,
    write_relinearisation_key,
)

__all__ = [
    "N8192",
    "N16384",
    "N32768",
    "PRESETS",
    "Ciphertext",
    "Context",
    "Estimate",
    "GaloisKeys",
    "Plaintext",
    "Preset",
    "PublicKey",
    "RelinearisationKey",
    "SecretKey",
    "SwitchingKey",
    "add",
    "add_constant",
    "add_plain",
    "conjugate",
    "context_of",
    "decode",
    "decrypt",
    "drop_to",
    "encode",
    "encrypt",
    "encrypt_with_secret",
    "encrypt_zero",
    "evaluate",
    "evaluate_many",
    "galois_keys",
    "inner_product",
    "inner_sum",
    "inner_sum_steps",
    "interpolate",
    "multiply",
    "multiply_plain",
    "negate",
    "public_key",
    "read_ciphertext",
    "read_galois_keys",
    "read_public_key",
    "read_relinearisation_key",
    "relinearisation_key",
    "relinearise",
    "rescale",
    "rotate",
    "rotate_many",
    "scale_for",
    "secret_key",
    "sigmoid",
    "stretched",
    "subtract",
    "tensor",
    "weighted_sum",
    "write_ciphertext",
    "write_galois_keys",
    "write_public_key",
    "write_relinearisation_key",
]
