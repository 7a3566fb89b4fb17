"""Commands whose help ends with an example, and groups that suggest a command for a mistyped one."""

from __future__ import annotations

from typing import Any

import click

from pivotwatch.base.suggestions import with_suggestion


class Command(click.Command):
    """A command with an example in its help.

    Parameters
    ----------
    example
        A complete command line; the help prints it unchanged.
    """

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            formatter.write(f"{'':>{formatter.current_indent}}{self.example}\n")


class Group(Command, click.Group):
    """A group with an example that suggests the most similar command when a command does not exist."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        is_option = name.startswith("-")
        if not is_option and self.get_command(ctx, name) is None:
            ctx.fail(with_suggestion(f"No such command {name!r}", name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)
