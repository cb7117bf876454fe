"""Which rows stood behind a release, in 32 KiB that nobody can read without the hospital's key.

Two answers whose rows differ by a few people give those people away by subtraction. So every release leaves a digest of its
effective rows, and a new one is compared with it: how many people (or rows, where the dictionary names no person column) are
in one and not in the other, up to a limit.

An invertible Bloom lookup table (Goodrich and Mitzenmacher 2011; set difference after Eppstein, Goodrich, Uyeda and Varghese
2011) of four sub-tables of 256 cells. An element is the AES encryption of a block under the hospital's key; it adds itself and a
1 to one cell of each sub-table, named by its first four bytes. Subtracting two digests leaves the difference; a cell that holds
copies of a single element divides by its count into a block that decrypts to the padding and belongs into this cell, which a
wrong block does with probability 2^-40 (2^-72 for rows). Peeling such cells decodes far more than the elements the rule asks
about.

    block of a row       its identity (8 bytes, even)    zeros (8 bytes)
    block of a person    whose (8 bytes, odd)            which rows (4 bytes)    zeros (4 bytes)

"Which rows" is the upper half of the sum of the identities of the person's used rows. So a person of whom other rows were used is
two elements of the difference and one person that differs: one visit in place of another shows both.
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
CELL_WORDS = 4  # of 64 bits: one of a count, three of a sum
MAGIC = b"unseen row set 2"
HALF = np.uint64(32)
ELEMENTS = 2  # of one person in a difference: the rows used here, the rows used there
SIZE = len(MAGIC) + 8 + TABLES * CELLS * CELL_WORDS * 8

Cell = tuple[int, int]  # sub-table, index


class RowSetDigest:
    """The digest of one hospital's row set. Holds counts and sums of encrypted identities; `key` stays with the hospital."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"unseen row set key\0" + key).digest()
        self._cells = np.zeros((TABLES, CELLS, CELL_WORDS), dtype=np.uint64)

    def update(self, identities: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Add a batch of rows: their identities, uint64 (rows,); or those of their people, beside each other, and of the rows."""
        low, high = (identities, None) if rows is None else _people(identities, rows)
        native.row_set_add(self._cells, self._key[:16], low, high)

    def difference(self, other: RowSetDigest, limit: int = 10) -> int:
        """How many people or rows are in one of the two row sets and not in the other; `limit` means that many or more."""
        if other._key != self._key:
            raise ConfigError(
                "Two row-set digests were made under different keys: restore the hospital's key of the earlier one."
            )
        mine, theirs = self._cells, other._cells
        differ = (mine != theirs).any(axis=2)
        if differ.sum(axis=1).max() > ELEMENTS * (limit - 1):  # an element is in one cell of each sub-table
            return limit
        cells = {(int(t), int(i)): _subtract(mine[t, i], theirs[t, i]) for t, i in np.argwhere(differ)}
        return _Difference(cells, self._key).size(limit)

    def to_bytes(self) -> bytes:
        """The same number of bytes for any row set."""
        body = self._cells.astype("<u8").tobytes()
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
        digest._cells = np.frombuffer(body, "<u8").astype(np.uint64).reshape((TABLES, CELLS, CELL_WORDS))
        return digest

    def _check(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:8]


def _people(identities: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint64 (people,): whose, and which rows."""
    if not len(identities):
        return identities, rows
    first = np.flatnonzero(np.concatenate([[True], identities[1:] != identities[:-1]]))
    return identities[first], np.add.reduceat(rows, first) >> HALF


def _subtract(mine: np.ndarray, theirs: np.ndarray) -> tuple[int, int]:
    """(count, sum of elements) of a cell of the difference."""
    words = [int(word) - int(other) for word, other in zip(mine, theirs, strict=True)]
    return words[0], sum(word << (64 * place) for place, word in enumerate(words[1:]))


@dataclass
class _Difference:
    """The difference of two digests, peeled element by element."""

    cells: dict[Cell, tuple[int, int]]
    key: bytes

    def size(self, limit: int) -> int:
        decryptor = Cipher(algorithms.AES128(self.key[:16]), modes.ECB()).decryptor()  # noqa: S305  single blocks, no message
        rows = 0
        people: set[int] = set()
        todo = {cell for cell, (count, _) in self.cells.items() if count}
        while todo and rows + len(people) < limit:
            pure = self._pure(todo.pop(), decryptor)
            if pure is not None:
                element, identity, copies = pure
                if identity & 1:
                    people.add(identity)
                else:
                    rows += abs(copies)
                todo |= self._remove(element, copies)
        empty = all(cell == (0, 0) for cell in self.cells.values())
        return min(rows + len(people), limit) if empty else limit

    def _pure(self, cell: Cell, decryptor: object) -> tuple[bytes, int, int] | None:
        """(element, identity, number of copies) when the cell holds copies of one element only."""
        count, total = self.cells[cell]
        if not count or total % count or not 0 <= total // count < 1 << 128:
            return None
        element = (total // count).to_bytes(16, "little")
        block: bytes = decryptor.update(element)  # type: ignore[attr-defined]
        padding = block[12:] if block[0] & 1 else block[8:]
        if any(padding) or element[cell[0]] != cell[1]:
            return None
        return element, int.from_bytes(block[:8], "little"), count

    def _remove(self, element: bytes, copies: int) -> set[Cell]:
        number = int.from_bytes(element, "little")
        touched = {(table, element[table]) for table in range(TABLES)}
        for cell in touched:
            count, total = self.cells.get(cell, (0, 0))
            self.cells[cell] = (count - copies, total - copies * number)
        return {cell for cell in touched if self.cells[cell][0]}
