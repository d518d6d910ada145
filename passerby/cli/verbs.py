"""Groups of commands whose modules are imported only when they are named."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from passerby.errors import did_you_mean


class Verbs(click.Group):
    """A group over a table {verb: module}; each module has a click command named `command`."""

    def __init__(self, *args: Any, table: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        command: click.Command = importlib.import_module(self.table[name]).command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in self.table and not name.startswith("-"):
            raise click.UsageError(f"no verb '{name}'{did_you_mean(name, self.table)}")
        return super().resolve_command(context, args)
