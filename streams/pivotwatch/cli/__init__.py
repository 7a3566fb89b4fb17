"""The command line. Each command is a module of this package that is imported when the command runs.

Commands import modules that load Faust or river inside a function. That keeps ``--help`` and the messages
about wrong use quick; it is the only reason for an import inside a function here.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import click

from pivotwatch.base.errors import Fault
from pivotwatch.base.log_format import LogFormat
from pivotwatch.base.outside_text import visible_message
from pivotwatch.cli.commands import Group

# One line of help for each command, so that `pivotwatch --help` imports none of them.
COMMANDS = {
    "worker": "Run one or several roles against Kafka.",
    "replay": "Find campaigns in event files, without Kafka.",
    "simulate": "Generate the events of a scenario, with the truth.",
    "topics": "Create or check the topics.",
    "alerts": "Follow alerts, or compare two files of alerts.",
    "decisions": "List the decisions of people.",
    "sessions": "List or end sessions of the page.",
    "mapping": "Show how records of a source become events.",
    "deliver": "Send a test alert to a target.",
    "export": "Export an alert to share it with others.",
    "dlq": "List dead letters, or send them again.",
    "config": "Show the configuration in use, or every key.",
    "doctor": "Check configuration, broker and data.",
    "schema": "List the JSON Schemas of the topics, or print one.",
    "demo": "Play a simulated launch with a hidden campaign.",
}
INTERRUPTED = 130
"""The exit status that shells use for a program that SIGINT ended."""


@contextlib.contextmanager
def _readable_errors() -> Iterator[None]:
    """Raise a `Fault` as an error of click; its message and those of click show no hidden characters."""
    try:
        yield
    except Fault as fault:
        shown = click.ClickException(visible_message(str(fault)))
        shown.exit_code = fault.exit_status
        raise shown from None
    except click.ClickException as error:
        error.message = visible_message(error.message)
        raise


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an unexpected error as Python does, without hidden characters."""
    sys.stderr.write(visible_message("".join(traceback.format_exception(kind, error, trace))))


class LazyGroup(Group):
    """A group that imports a command when it is used, and that shows a `Fault` as a message."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _readable_errors():
            return super().make_context(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"pivotwatch.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        sys.excepthook = _print_traceback
        if logging.lastResort is not None:  # What prints the warnings of a command without a log.
            logging.lastResort.setFormatter(LogFormat())
        try:
            with _readable_errors():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    example="pivotwatch replay events.jsonl --releases releases.json",
)
@click.version_option(package_name="pivotwatch", message="%(package)s %(version)s")
def main() -> None:
    """Find campaigns of model distillation in a stream of requests.

    Commands write data to standard output, and progress and logs to standard error.
    Exit status: 0 success, 1 a check failed, 2 wrong use or configuration, 3 a broker or file is
    unavailable.
    """
