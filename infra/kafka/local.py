"""Command line of the local Kafka: one broker on 127.0.0.1 for the demo, the tests and the benchmark.

``python -m infra.kafka.local up | down | status | run -- COMMAND …``

The broker is the first of these that is available: the address in ``PIVOTWATCH_BROKERS`` (then nothing is
started), Docker with compose, Java with Maven. Exit status: 0 fine, 1 nothing runs (``status``) or the broker
does not stop (``down``), 2 wrong use, 3 no broker available; ``run`` returns the exit status of its command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from infra.kafka.background import down, report, status, up
from infra.kafka.broker import BROKERS, COMPOSE, BrokerError, LocalKafka, broker_address
from infra.kafka.java import Unavailable

__all__ = ["BROKERS", "COMPOSE", "BrokerError", "LocalKafka", "Unavailable", "broker_address", "main"]


def run(command: Sequence[str], options: Mapping[str, Any]) -> int:
    """Run a command while a broker runs, and return the exit status of the command."""
    with broker_address(**options) as address:
        report(f"{BROKERS}={address}")
        try:
            process = subprocess.Popen(command, env={**os.environ, BROKERS: address})
        except OSError as error:
            report(f"{command[0]}: {error.strerror}")
            return 127

        def forward(number: int, frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

        before = {
            # The terminal sends Ctrl-C to the command too.
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, forward),
        }
        try:
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def key_value(text: str) -> tuple[str, str]:
    """Split ``key=value``.

    Examples
    --------
    >>> key_value("message.max.bytes=2000000")
    ('message.max.bytes', '2000000')
    """
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not key=value")
    return key, value


def parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--port", type=int, help="port of 127.0.0.1 (default: a free one)")
    options.add_argument(
        "--data", metavar="FOLDER", help="keep the data here (default: temporary; Java only)"
    )
    options.add_argument(
        "--heap", default="512m", help="maximum size of the Java heap (default: %(default)s)"
    )
    options.add_argument(
        "--with", dest="provider", choices=["auto", "java", "docker"], default="auto", help="where it runs"
    )
    options.add_argument(
        *("--set", "-s"),
        dest="settings",
        metavar="KEY=VALUE",
        type=key_value,
        action="append",
        default=[],
        help="a further server property; {port}, {controller_port} and {data} in it are replaced (Java only)",
    )
    whole = argparse.ArgumentParser(
        prog="python -m infra.kafka.local",
        description=f"Run one Kafka broker on 127.0.0.1. If {BROKERS} is set, that broker is used instead.",
    )
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="up | down | status | run")
    verbs.add_parser("up", parents=[options], help="start a broker, leave it running, and print its address")
    verbs.add_parser("down", help="stop that broker and remove its data")
    shown = verbs.add_parser("status", help="print its address; exit status 1 when nothing runs")
    shown.add_argument("--json", action="store_true", help="print address, process ids and paths as JSON")
    beside = verbs.add_parser("run", parents=[options], help="run a command while a broker runs")
    beside.add_argument(
        "command", nargs="+", metavar="COMMAND", help=f"-- COMMAND …; its environment has {BROKERS}"
    )
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        if chosen.verb == "down":
            return down()
        if chosen.verb == "status":
            return status(as_json=chosen.json)
        options = {
            "port": chosen.port,
            "data_dir": chosen.data,
            "heap": chosen.heap,
            "provider": chosen.provider,
            "settings": dict(chosen.settings),
        }
        return up(options) if chosen.verb == "up" else run(chosen.command, options)
    except ValueError as error:
        report(str(error))
        return 2
    except (Unavailable, BrokerError) as error:
        report(str(error))
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
