"""Looks for known vulnerabilities of the locked packages: ``python -m tests.audit``.

`pip-audit` asks the database of advisories (osv.dev) for every locked package. Exit status 1 when one has a
known vulnerability. When the database cannot be reached, the command prints a message and ends with status
0, so that the checks run without a network; with ``--required`` it ends with status 3.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
DATABASE = "https://api.osv.dev/v1/query"
REACH_SECONDS = 5.0


@click.command()
@click.option(
    "--lock",
    type=click.Path(path_type=Path, exists=True),
    default=ROOT / "requirements-dev.txt",
    help="Packages with their hashes.",
)
@click.option("--database", default=DATABASE, show_default=True, help="Address of the database.")
@click.option("--required", is_flag=True, help="Exit status 3 when the database cannot be reached.")
def main(lock: Path, database: str, required: bool) -> None:
    """Look for known vulnerabilities of every locked package."""
    if why := unreachable(database):
        click.echo(f"audit: {database} not reached ({why}); nothing was checked", err=True)
        sys.exit(3 if required else 0)
    found = vulnerabilities(lock, database)
    for line in found:
        click.echo(line, err=True)
    if found:
        sys.exit(1)
    click.echo(f"audit: no known vulnerability in {lock.name}")


def unreachable(database: str) -> str | None:
    """Why the database cannot be reached; None when it answers at all."""
    try:
        urllib.request.urlopen(urllib.request.Request(database, method="HEAD"), timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError:
        return None
    except OSError as error:
        return str(getattr(error, "reason", error))
    return None


def vulnerabilities(lock: Path, database: str) -> list[str]:
    """One line per vulnerability. Ends the process when pip-audit fails."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--require-hashes",
        "--disable-pip",
        "--requirement",
        str(lock),
    ]
    command += ["--vulnerability-service", "osv", "--osv-url", database]
    command += ["--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        click.echo(f"audit: pip-audit failed:\n{done.stderr}", err=True)
        sys.exit(1)
    # A package that was not checked counts as a finding.
    skipped = [f"{one['name']}: {one['skip_reason']}" for one in packages if "skip_reason" in one]
    return skipped + [
        f"{one['name']} {one['version']}: {vulnerability['id']}"
        + (f", fixed in {', '.join(vulnerability['fix_versions'])}" if vulnerability["fix_versions"] else "")
        for one in packages
        for vulnerability in one.get("vulns", ())
    ]


if __name__ == "__main__":
    main()
