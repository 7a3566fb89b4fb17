"""The command line. Each command is a module of this package, imported when it is asked for."""

from __future__ import annotations

import importlib

import click

from pivotwatch.base.errors import Fault

# Module, attribute and one line of help of every command: `pivotwatch --help` imports none of them.
COMMANDS = {
    "worker": ("pivotwatch.cli.worker", "worker", "Run one or several roles against Kafka."),
    "replay": ("pivotwatch.cli.replay", "replay", "Find campaigns in event files, without Kafka."),
    "simulate": (
        "pivotwatch.cli.simulate",
        "simulate",
        "Make events of a scenario, with the truth beside them.",
    ),
    "topics": ("pivotwatch.cli.topics", "topics", "Create the topics or check them."),
    "alerts": ("pivotwatch.cli.alerts", "alerts", "Follow alerts or compare two files of them."),
    "mapping": ("pivotwatch.cli.mapping", "mapping", "See how traffic of others is read."),
    "deliver": ("pivotwatch.cli.deliver", "deliver", "Test the targets that alerts are delivered to."),
    "export": ("pivotwatch.cli.export", "export", "Export an alert for sharing with others."),
    "dlq": ("pivotwatch.cli.dlq", "dlq", "List dead letters of events or deliveries, send them again."),
    "doctor": ("pivotwatch.cli.doctor", "doctor", "Check configuration, broker and data; say what to do."),
    "schema": ("pivotwatch.cli.schema", "schema", "List the JSON Schemas of the topics, or print one."),
    "demo": ("pivotwatch.cli.demo", "demo", "Play a launch with a hidden campaign through Kafka."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use, and which shows a `Fault` as a message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Fault as fault:
            shown = click.ClickException(str(fault))
            shown.exit_code = fault.exit_status
            raise shown from None
        except KeyboardInterrupt:
            # The status that a shell gives to a program ended by SIGINT.
            ctx.exit(130)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pivotwatch", message="%(package)s %(version)s")
def main() -> None:
    """Find campaigns of model distillation in a stream of requests.

    Data goes to standard output, progress and logs to standard error. Exit status: 0 fine,
    1 a check failed, 2 wrong use or configuration, 3 a broker or file out of reach.
    """
