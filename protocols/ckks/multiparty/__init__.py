"""CKKS under a key that no one holds: its making, and the way from ciphertexts to shares."""
