"""Several worker processes under one command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pivotwatch.base.child_processes import Processes, Stopped, sigterm_raises, supervise

FOR_EVER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
IGNORE = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
DEAF = [sys.executable, "-c", IGNORE + "print('deaf', file=sys.stderr, flush=True); signal.pause()"]


def ends(status: int) -> list[str]:
    return [sys.executable, "-c", f"import sys; print('said', file=sys.stderr); sys.exit({status})"]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def pids(processes: Processes) -> list[int]:
    return [process.pid for process in processes._running.values()]


def test_the_first_that_dies_ends_the_others_and_gives_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    with Processes() as processes:
        processes.start("a", FOR_EVER)
        [running] = pids(processes)
        processes.start("b", ends(7))
        assert supervise(processes, ["a", "b"], until_end=False) == 7
    assert gone(running)
    assert "worker b exited with status 7; stopping the others" in capsys.readouterr().err


def test_an_unexpected_end_is_a_failure() -> None:
    with Processes() as processes:
        processes.start("a", ends(0))
        assert supervise(processes, ["a"], until_end=False) == 1


def test_until_end_waits_for_all() -> None:
    with Processes() as processes:
        processes.start("a", ends(0))
        processes.start("b", ends(0))
        assert supervise(processes, ["a", "b"], until_end=True) == 0


def test_a_killed_process_has_the_status_that_a_shell_reports() -> None:
    with Processes() as processes:
        processes.start("a", FOR_EVER)
        os.kill(pids(processes)[0], signal.SIGKILL)
        assert processes.next_end() == ("a", 128 + signal.SIGKILL)


def test_a_process_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pivotwatch.base.child_processes.GRACE_SECONDS", 0.1)
    with Processes(logs=tmp_path) as processes:
        processes.start("a", DEAF)
        while not processes.last_lines("a"):
            assert processes.next_end(timeout=0.01) is None
        [running] = pids(processes)
    assert gone(running)


def test_the_end_of_a_log_can_be_shown(tmp_path: Path) -> None:
    with Processes(logs=tmp_path) as processes:
        processes.start("a", ends(1))
        assert processes.next_end() == ("a", 1)
        assert processes.last_lines("a") == ["said"]


def test_sigterm_leaves_every_block() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped), sigterm_raises():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_to_the_command_ends_its_workers() -> None:
    """A stand-in for the command, with a worker that waits forever."""
    text = (
        "import sys\n"
        "from pivotwatch.base.child_processes import Processes, Stopped, sigterm_raises, supervise\n"
        "try:\n"
        "    with sigterm_raises(), Processes() as processes:\n"
        f"        processes.start('a', {FOR_EVER!r})\n"
        "        print(*[p.pid for p in processes._running.values()], flush=True)\n"
        "        supervise(processes, ['a'], until_end=False)\n"
        "except Stopped:\n"
        "    sys.exit(5)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    with command.stdout:
        lines = {command.stdout.readline().strip(), command.stdout.readline().strip()} - {"up"}
        command.terminate()
        assert command.wait(30) == 5
    assert gone(int(lines.pop()))
