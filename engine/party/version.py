"""Which version of the software this is."""

from importlib.metadata import PackageNotFoundError, version

try:
    SOFTWARE_VERSION = version("unseen")
except PackageNotFoundError:  # run from a checkout that was never installed
    SOFTWARE_VERSION = "0.0.0"
