"""One Kafka broker on 127.0.0.1: for the demo, the tests, the benchmark, and by hand.

``python -m infra.kafka.local up | down | status | run -- COMMAND …``

Where it comes from, in this order: an address in the environment (``PIVOTWATCH_BROKERS``;
then nothing is started), Docker with compose where a daemon answers, else Java and Maven.
Exit status: 0 fine, 1 nothing runs (``status``), 2 wrong use, 3 no broker to be had; ``run``
gives the exit status of its command.
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

from infra.kafka.broker import BROKERS, COMPOSE, BrokerError, LocalKafka, broker_address
from infra.kafka.java import Unavailable
from infra.kafka.standing import down, note, status, up

__all__ = ["BROKERS", "COMPOSE", "BrokerError", "LocalKafka", "Unavailable", "broker_address", "main"]


def run(command: Sequence[str], wishes: Mapping[str, Any]) -> int:
    """Run a command with a broker at its side; give back its exit status."""
    with broker_address(**wishes) as address:
        note(f"{BROKERS}={address}")
        try:
            process = subprocess.Popen(command, env={**os.environ, BROKERS: address})
        except OSError as error:
            note(f"{command[0]}: {error.strerror}")
            return 127

        def forward(number: int, frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

        before = {
            # The terminal sends Ctrl-C to the command as well.
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, forward),
        }
        try:
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def pair(text: str) -> tuple[str, str]:
    """Split ``key=value``.

    Examples
    --------
    >>> pair("message.max.bytes=2000000")
    ('message.max.bytes', '2000000')
    """
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not key=value")
    return key, value


def parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    wishes = argparse.ArgumentParser(add_help=False)
    wishes.add_argument("--port", type=int, help="port of 127.0.0.1 (default: a free one)")
    wishes.add_argument("--data", metavar="FOLDER", help="keep the data here (default: temporary; Java only)")
    wishes.add_argument("--heap", default="512m", help="upper bound of the Java heap (default: %(default)s)")
    wishes.add_argument(
        "--with", dest="provider", choices=["auto", "java", "docker"], default="auto", help="where it runs"
    )
    wishes.add_argument(
        *("--set", "-s"),
        dest="settings",
        metavar="KEY=VALUE",
        type=pair,
        action="append",
        default=[],
        help="a further server property; {port}, {controller_port} and {data} in it are replaced (Java)",
    )
    whole = argparse.ArgumentParser(
        prog="python -m infra.kafka.local",
        description=f"One Kafka broker on 127.0.0.1. An address in {BROKERS} wins: nothing is started then.",
    )
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="up | down | status | run")
    verbs.add_parser("up", parents=[wishes], help="start a broker that stays, print its address")
    verbs.add_parser("down", help="end it and remove its data")
    shown = verbs.add_parser("status", help="print its address; exit status 1 when nothing runs")
    shown.add_argument("--json", action="store_true", help="address, process ids and paths as JSON")
    beside = verbs.add_parser("run", parents=[wishes], help="run a command with a broker at its side")
    beside.add_argument("command", nargs="+", metavar="COMMAND", help=f"-- COMMAND …; it gets {BROKERS}")
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        if chosen.verb == "down":
            return down()
        if chosen.verb == "status":
            return status(as_json=chosen.json)
        wishes = {
            "port": chosen.port,
            "data_dir": chosen.data,
            "heap": chosen.heap,
            "provider": chosen.provider,
            "settings": dict(chosen.settings),
        }
        return up(wishes) if chosen.verb == "up" else run(chosen.command, wishes)
    except ValueError as error:
        note(str(error))
        return 2
    except (Unavailable, BrokerError) as error:
        note(str(error))
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
