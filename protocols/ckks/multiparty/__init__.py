"""CKKS under a key that nobody holds: joint keys of all hospitals, and numbers between ciphertexts and shares.

    agreement   common randomness by commit and reveal; everybody holds the same
    gather      sums of polynomials over all hospitals
    keys        public, relinearisation and Galois keys, for one session
    conversion  encryption to shares and back, and the guards of both
    unwrap      the wrap count of a conversion, on shares
    rows        a hospital's columns times encrypted coefficients

Source: Mouchet, Troncoso-Pastoriza, Bossuat, Hubaux, PoPETs 2021 (eprint 2020/304). The whole argument is docs/encrypted.md.
"""
