"""PyTorch's int64 products, which wrap around like Z_2^64: what CrypTen's arithmetic stands on. One process, one thread."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks import memory, trio, work


def handle(request: dict[str, Any]) -> dict[str, Any]:
    rows, columns = request["n"], request["d"]
    left, right = work.words_to_multiply(request["work"], rows, columns)
    a, b = (torch.from_numpy(words.view(np.int64)) for words in (left, right))
    memory.reset_peak()
    began = time.perf_counter()
    product = a @ b
    seconds = time.perf_counter() - began
    error = work.wrong_words(left, right, product.numpy().view(np.uint64))
    return {"seconds": seconds, "peak_rss": memory.peak_mib(), "error": error, "error_unit": "mismatches"}


if __name__ == "__main__":
    torch.set_num_threads(1)
    trio.serve(handle)
