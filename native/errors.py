"""The root of every exception that unseen raises; the whole tree is drawn in engine/errors.py."""


class UnseenError(Exception):
    """Something unseen can say about itself. The message says what to do next and never holds patient data."""


class KernelsNotBuilt(UnseenError):
    """The C extension is missing: run `make kernels` in a checkout, or reinstall the wheel."""


class KernelInputError(UnseenError, ValueError):
    """An array given to a kernel has the wrong dtype, shape or range (local misuse)."""
