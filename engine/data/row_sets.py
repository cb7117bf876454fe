"""Which rows stood behind a release, in 32 KiB that nobody can read without the hospital's key.

Two answers whose rows differ by a few people give those people away by subtraction. So every release leaves a digest of its
effective rows, and a new one is compared with it: how many people (or rows, where the dictionary names no person column) are
in one and not in the other, up to a limit.

An invertible Bloom lookup table (Goodrich and Mitzenmacher 2011; set difference after Eppstein, Goodrich, Uyeda and Varghese
2011) of four sub-tables of 256 cells. An element is the AES encryption of an identity, padded with zeros, under the hospital's
key; it adds itself and a 1 to one cell of each sub-table, named by its first four bytes. Subtracting two digests leaves the
difference; a cell that holds copies of a single element divides by its count into a block that decrypts to the padding, which
a wrong block does with probability 2^-64. Peeling such cells decodes far more than the 9 elements the rule asks about.

A person whose rows differ in number is one person that differs: leaving out a single visit of somebody shows that visit.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import native
from engine.errors import ConfigError

TABLES = 4
CELLS = 256
CHUNK = 1 << 20  # sums of 2^20 32-bit words are exact in float64, which np.bincount adds in
MAGIC = b"unseen row set 1"
SUM_BYTES = 24
WORDS = 4
SIZE = len(MAGIC) + 8 + TABLES * CELLS * (8 + SUM_BYTES)

Cell = tuple[int, int]  # sub-table, index


class RowSetDigest:
    """The digest of one hospital's row set. Holds counts and sums of encrypted identities; `key` stays with the hospital."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"unseen row set key\0" + key).digest()
        self._counts = np.zeros((TABLES, CELLS), dtype=np.int64)
        self._sums = np.zeros((WORDS, TABLES, CELLS), dtype=np.uint64)  # of 32-bit words: room for 2^32 rows

    def update(self, identities: np.ndarray) -> None:
        """Add rows, or rows of people: uint64 (rows,) as a Batch holds them. Call it for every batch."""
        for start in range(0, len(identities), CHUNK):
            blocks = np.zeros((len(identities[start : start + CHUNK]), 2), dtype="<u8")
            blocks[:, 0] = identities[start : start + CHUNK]
            elements = native.aes_ecb(self._key[:16], blocks.view(np.uint8).reshape(-1, 16))
            words = elements.view("<u4").astype(np.float64)
            for table in range(TABLES):
                cells = elements[:, table].astype(np.intp)
                self._counts[table] += np.bincount(cells, minlength=CELLS)
                for word in range(WORDS):
                    self._sums[word, table] += np.bincount(cells, words[:, word], CELLS).astype(np.uint64)

    def difference(self, other: RowSetDigest, limit: int = 10) -> int:
        """How many people or rows are in one of the two row sets and not in the other; `limit` means that many or more."""
        if other._key != self._key:
            raise ConfigError(
                "Two row-set digests were made under different keys: restore the hospital's key of the earlier one."
            )
        return _Difference(self._subtract(other), self._key).size(limit)

    def to_bytes(self) -> bytes:
        """The same number of bytes for any row set."""
        body = b"".join(
            count.to_bytes(8, "little") + total.to_bytes(SUM_BYTES, "little") for count, total in self._cells().values()
        )
        return MAGIC + self._check(body) + body

    @classmethod
    def from_bytes(cls, key: bytes, data: bytes) -> RowSetDigest:
        """Raises ConfigError for bytes that are damaged, of another version, or made under another key."""
        digest = cls(key)
        head, body = data[: len(MAGIC) + 8], data[len(MAGIC) + 8 :]
        if len(data) != SIZE or head != MAGIC + digest._check(body):
            raise ConfigError(
                "A stored row-set digest is damaged, or of another key or version. Restore the party's state and keys."
            )
        for position in range(TABLES * CELLS):
            cell = body[position * (8 + SUM_BYTES) : (position + 1) * (8 + SUM_BYTES)]
            table, index = divmod(position, CELLS)
            digest._counts[table, index] = int.from_bytes(cell[:8], "little")
            total = int.from_bytes(cell[8:], "little")
            # The words' sums are kept with their carries resolved: all but the top one below 2^32.
            for word in range(WORDS):
                part = total & 0xFFFFFFFF if word < WORDS - 1 else total
                digest._sums[word, table, index] = part
                total >>= 32
        return digest

    def _check(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:8]

    def _cells(self) -> dict[Cell, tuple[int, int]]:
        """(count, sum of elements as integers) of each cell, in order."""
        sums = self._sums.tolist()
        counts = self._counts.tolist()
        return {
            (table, index): (counts[table][index], sum(sums[word][table][index] << (32 * word) for word in range(WORDS)))
            for table in range(TABLES)
            for index in range(CELLS)
        }

    def _subtract(self, other: RowSetDigest) -> dict[Cell, tuple[int, int]]:
        mine, theirs = self._cells(), other._cells()
        return {cell: (mine[cell][0] - theirs[cell][0], mine[cell][1] - theirs[cell][1]) for cell in mine}


@dataclass
class _Difference:
    """The difference of two digests, peeled element by element."""

    cells: dict[Cell, tuple[int, int]]
    key: bytes

    def size(self, limit: int) -> int:
        decryptor = Cipher(algorithms.AES128(self.key[:16]), modes.ECB()).decryptor()  # noqa: S305  single blocks, no message
        found = 0
        todo = {cell for cell, (count, _) in self.cells.items() if count}
        while todo and found < limit:
            pure = self._pure(todo.pop(), decryptor)
            if pure is not None:
                element, identity, copies = pure
                found += 1 if identity & 1 else abs(copies)  # odd: a person
                todo |= self._remove(element, copies)
        empty = all(cell == (0, 0) for cell in self.cells.values())
        return min(found, limit) if empty else limit

    def _pure(self, cell: Cell, decryptor: object) -> tuple[bytes, int, int] | None:
        """(element, identity, number of copies) when the cell holds copies of one element only."""
        count, total = self.cells[cell]
        if not count or total % count or not 0 <= total // count < 1 << 128:
            return None
        element = (total // count).to_bytes(16, "little")
        block: bytes = decryptor.update(element)  # type: ignore[attr-defined]
        if block[8:] != bytes(8) or element[cell[0]] != cell[1]:
            return None
        return element, int.from_bytes(block[:8], "little"), count

    def _remove(self, element: bytes, copies: int) -> set[Cell]:
        number = int.from_bytes(element, "little")
        touched = {(table, element[table]) for table in range(TABLES)}
        for cell in touched:
            count, total = self.cells[cell]
            self.cells[cell] = (count - copies, total - copies * number)
        return {cell for cell in touched if self.cells[cell][0]}
