"""Runs atheris on every decoder: ``python -m tests.fuzz``. Exit status 1 when one raised.

Each target has its own process, because the fuzzer ends the process. Inputs that stopped a target are
stored in the folder that is printed at the end.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Run one target in this process. Does not return."""
    import atheris

    with atheris.instrument_imports(include=["streams", "models"]):
        from tests.fuzz.targets import targets
    target = targets()[name]
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed{number}").write_bytes(seed)
    longest = max(4096, 2 * max(map(len, target.seeds)))
    options = [f"-max_total_time={seconds}", f"-max_len={longest}", "-timeout=60", "-verbosity=0"]
    options.append("-print_final_stats=1")
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}/found-", str(corpus)], target.run)
    atheris.Fuzz()


def main() -> int:
    """Run all targets, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--target", help="only this one")
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.corpus:
        fuzz(given.target, given.corpus, given.seconds)
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("atheris is not installed: it comes with the dev extra, for Linux", file=sys.stderr)
        return 3
    from tests.fuzz.targets import targets

    names = [given.target] if given.target else list(targets())
    each = max(2, given.seconds // len(names))
    broken = []
    for name in names:
        corpus = Path(tempfile.mkdtemp(prefix="pivotwatch-fuzz-"))
        command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--seconds", str(each)]
        done = subprocess.run(
            [*command, "--corpus", str(corpus)], capture_output=True, text=True, check=False
        )
        tried = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
        result = "nothing found" if done.returncode == 0 else f"stopped, see {corpus}"
        print(f"{name}: {tried[1] if tried else '?'} inputs tried, {result}", flush=True)
        if done.returncode:
            broken.append(name)
            print(done.stderr[-3000:], file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
