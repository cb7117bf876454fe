"""TOML, read with errors that say what is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from engine.errors import ConfigError


def read_toml(path: Path, advice: str = "") -> dict[str, Any]:
    """The document in a file. Raises ConfigError, with `advice` where there is no such file to read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise ConfigError(f"{path} cannot be read" + (f"; {advice}" if advice else "")) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}") from None
    return parse_toml(text, path.name)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The document that `text` holds; errors call it `name`. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{name} is not valid TOML: {error}") from None
