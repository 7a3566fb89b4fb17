"""``python -m tests.audit``: are there known weaknesses in what is installed?

`pip-audit` asks the open database of advisories (osv.dev) for every locked package. A weakness ends it with
exit status 1. A database that cannot be reached says nothing about the packages: that is told, and is no
failure, so that the checks can be run without a network; with ``--required`` it is one (exit status 3).
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
@click.option("--database", default=DATABASE, show_default=True, help="Where to ask.")
@click.option("--required", is_flag=True, help="Exit status 3 when the database cannot be reached.")
def main(lock: Path, database: str, required: bool) -> None:
    """Ask for known weaknesses of every locked package."""
    if why := unreachable(database):
        click.echo(f"audit: {database} not reached ({why}); nothing was checked", err=True)
        sys.exit(3 if required else 0)
    found = weaknesses(lock, database)
    for line in found:
        click.echo(line, err=True)
    if found:
        sys.exit(1)
    click.echo(f"audit: no known weakness in {lock.name}")


def unreachable(database: str) -> str | None:
    """Why there is no way to the database; None when it answers, whatever it says."""
    try:
        urllib.request.urlopen(urllib.request.Request(database, method="HEAD"), timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError:
        return None
    except OSError as error:
        return str(getattr(error, "reason", error))
    return None


def weaknesses(lock: Path, database: str) -> list[str]:
    """One line for each weakness; ends the process when the tool did not get through."""
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
    # One that could not be asked for is not one without weaknesses.
    skipped = [f"{one['name']}: {one['skip_reason']}" for one in packages if "skip_reason" in one]
    return skipped + [
        f"{one['name']} {one['version']}: {weakness['id']}"
        + (f", mended in {', '.join(weakness['fix_versions'])}" if weakness["fix_versions"] else "")
        for one in packages
        for weakness in one.get("vulns", ())
    ]


if __name__ == "__main__":
    main()
