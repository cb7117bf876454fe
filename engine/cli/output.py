"""How every command speaks: results on stdout, everything else on stderr, errors in one line."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from engine.errors import ConfigError, SpecError
from native.errors import UnseenError

MISUSE, FAILED, INTERRUPTED = 2, 1, 130
PIPE_WIDTH = 200  # columns, where nobody says how wide the screen is


class Commands(TyperGroup):
    """A group whose errors of ours, and of the disk, are one line on stderr; exit code 2 for what the caller can mend in a file
    or a question."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UnseenError as error:
            Console(stderr=True, soft_wrap=True).print(Text(f"unseen: {error}"))
            raise typer.Exit(MISUSE if isinstance(error, SpecError | ConfigError) else FAILED) from None
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or "the disk failed"
            Console(stderr=True, soft_wrap=True).print(Text(f"unseen: {what}; check the path, its owner and the disk"))
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def say(text: str) -> None:
    """For people, on stderr."""
    Console(stderr=True, soft_wrap=True).print(Text(text))


def print_text(text: str) -> None:
    typer.echo(text)


def print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table of plain texts; nothing in them is read as markup."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def when(time: str) -> str:
    """RFC 3339 without fractions, for tables."""
    return time[:19].replace("T", " ")
