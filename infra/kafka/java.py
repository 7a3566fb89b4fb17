"""Finds Java, and the jars of a Kafka broker, which Maven copies once into the user's cache."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
OLDEST_JAVA = 17

INSTALL = (
    "A local Kafka needs Docker (a running daemon), or Java {oldest} or newer and Maven. {problem}\n"
    "  Debian, Ubuntu:  apt-get install default-jre-headless maven\n"
    "  Fedora:          dnf install java-latest-openjdk-headless maven\n"
    "  macOS:           brew install openjdk maven\n"
    "Or set PIVOTWATCH_BROKERS=host:port to use a broker that already runs."
)


class Unavailable(Exception):
    """Raised when this machine cannot run a broker; the message says what to install."""


def cache_folder() -> Path:
    """Folder for the jars and the state of the local Kafka: ``$XDG_CACHE_HOME/pivotwatch``."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "pivotwatch"


def find_java() -> str | None:
    """Path of the ``java`` to use: the one in ``JAVA_HOME``, else the first one on ``PATH``."""
    home = os.environ.get("JAVA_HOME")
    if home and os.access(inside := os.path.join(home, "bin", "java"), os.X_OK):
        return inside
    return shutil.which("java")


def java_version(java: str) -> int | None:
    """Major version of a Java program, or None when it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_java_version(done.stderr + done.stdout) if done.returncode == 0 else None


def parse_java_version(text: str) -> int | None:
    """Major version in what ``java -version`` prints.

    Examples
    --------
    >>> parse_java_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_java_version('java version "1.8.0_391"')
    8
    >>> parse_java_version('openjdk version "25-ea" 2025-09-16')
    25
    >>> parse_java_version("no version at all")
    """
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match.group(1)) if match else None


def kafka_version() -> str:
    """The Kafka version in ``pom.xml``.

    Examples
    --------
    >>> kafka_version().count(".")
    2
    """
    match = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)</version>", POM.read_text())
    if match is None:
        raise ValueError(f"{POM} names no version of kafka_2.13")
    return match.group(1)


def require() -> tuple[str, Path]:
    """Path of a suitable ``java`` and the folder of the jars, which are copied there first if needed.

    Raises
    ------
    Unavailable
        When Java or Maven is missing, Java is too old, or Maven cannot fetch the jars.
    """
    java = find_java()
    version = java_version(java) if java else None
    jars = cache_folder() / f"kafka-{kafka_version()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"
    maven = shutil.which("mvn")
    missing = [
        *(["Java"] if version is None else []),
        *(["Maven"] if maven is None and not jars.is_dir() else []),
    ]
    if missing:
        problem = f"Missing here: {' and '.join(missing)}."
        raise Unavailable(INSTALL.format(oldest=OLDEST_JAVA, problem=problem))
    assert java is not None
    assert version is not None
    if version < OLDEST_JAVA:
        problem = f"The Java here is {version} ({java})."
        raise Unavailable(INSTALL.format(oldest=OLDEST_JAVA, problem=problem))
    if not jars.is_dir():
        assert maven is not None
        with locked(jars.parent / "jars.lock"):
            if not jars.is_dir():
                _copy_jars(maven, jars)
    return java, jars


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes. The system releases it when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _copy_jars(maven: str, jars: Path) -> None:
    """Let Maven copy the jars into a temporary folder, then rename it: the final folder is never partial."""
    for left in jars.parent.glob("jars-*.part"):  # from a caller that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    print(f"local kafka: fetching Kafka {kafka_version()} (about 45 MB, once)", file=sys.stderr)
    part = Path(tempfile.mkdtemp(prefix="jars-", suffix=".part", dir=jars.parent))
    try:
        # -C: Maven refuses a jar whose checksum is wrong.
        done = subprocess.run(
            [
                *(maven, "-q", "-B", "-C", "-f", str(POM), "dependency:copy-dependencies"),
                *("-DincludeScope=runtime", f"-DoutputDirectory={part}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            tail = "\n".join(done.stdout.strip().splitlines()[-10:])
            raise Unavailable(f"Maven could not fetch the jars of Kafka {kafka_version()}:\n{tail}")
        part.chmod(0o755)
        part.rename(jars)
    finally:
        shutil.rmtree(part, ignore_errors=True)
