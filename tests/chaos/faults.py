"""Faults, each a function of the siege that it strikes; afterwards the pipeline goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos.siege import Siege


def kill_worker(siege: Siege) -> None:
    """Kill -9 of a worker at a random moment; a supervisor starts it again at once."""
    siege.random_wait()
    siege.replace(siege.pick())


def join_and_leave(siege: Siege, *, kill: bool = True) -> None:
    """A second and a third worker join in; one leaves in an orderly way, one is killed (or leaves too)."""
    second, third = siege.start("accounts", "w2"), siege.start("accounts", "w3")
    for worker in (second, third):
        worker.wait_ready()
    siege.random_wait()
    siege.count("orderly stop")
    siege.stops.append(siege.leave(second))
    siege.random_wait()
    if kill:
        siege.kill(third)
        siege.workers.remove(third)
    else:
        siege.stops.append(siege.leave(third))
    siege.progress("accounts")


def kill_broker(siege: Siege) -> None:
    """Kill -9 of the broker; it is started again at once."""
    siege.count("kill -9 of the broker")
    siege.random_wait()
    siege.kafka.kill()
    siege.kafka.start()
    siege.progress("accounts")


def stop_broker(siege: Siege) -> None:
    """The broker is away for a while."""
    siege.count(f"broker stopped for {siege.outage:.0f} s")
    siege.kafka.stop()
    time.sleep(siege.outage)
    siege.kafka.start()
    siege.progress("accounts")


def stale_worker(siege: Siege, role: str = "") -> None:
    """SIGSTOP past the session while another takes over, then SIGCONT and kill -9 of the other one."""
    siege.count("SIGSTOP past the session")
    role = role or siege.rng.choice(["accounts", "networks"])
    stale = next(worker for worker in siege.workers if worker.role == role)
    siege.random_wait()
    stale.process.send_signal(signal.SIGSTOP)
    other = siege.start(role, "w9")
    other.wait_ready()
    siege.progress(role)
    stale.process.send_signal(signal.SIGCONT)
    siege.random_wait()
    siege.kill(other)
    siege.workers.remove(other)
    siege.revive()
    siege.progress(role)


def raise_in_a_step(siege: Siege) -> None:
    """A step raises in mid-chunk: the process ends, and another goes on."""
    role = siege.rng.choice(["accounts", "networks"])
    siege.count("exception in mid-stream")
    worker = next(worker for worker in siege.workers if worker.role == role)
    siege.leave(worker)
    switch = siege.pipeline.folder / "raise"
    hooked = siege.start(role, "w1", hook="raise", CHAOS_FILE=str(switch))
    hooked.wait_ready()
    switch.touch()
    siege.wait_for("the step to raise", lambda: not hooked.running)
    assert hooked.process.returncode == 1, hooked.tail()
    assert "raised in mid-stream" in hooked.log.read_text(errors="replace"), hooked.tail()
    siege.workers.remove(hooked)
    siege.start(role, "w1").wait_ready()
    siege.progress(role)


def stall_and_cut(siege: Siege) -> None:
    """The network stalls for longer than requests like, then every connection is cut, twice."""
    assert siege.proxy is not None
    siege.count("network stalled")
    siege.proxy.stall()
    time.sleep(siege.stall)
    siege.proxy.flow()
    siege.progress("accounts")
    for _ in range(2):
        siege.count("connections cut")
        siege.random_wait()
        siege.proxy.cut()
    siege.revive()
    siege.progress("accounts")


def roll(siege: Siege) -> None:
    """A rolling restart: every worker ends in an orderly way and is started again."""
    siege.count("orderly stop", len(siege.workers))
    begun = time.monotonic()
    for worker in list(siege.workers):
        siege.stops.append(siege.leave(worker))
        siege.start(worker.role, worker.instance).wait_ready()
    siege.timed["rolling restart"] = time.monotonic() - begun
    siege.progress("accounts")


ALL: tuple[Callable[[Siege], None], ...] = (
    join_and_leave,
    kill_broker,
    stop_broker,
    lambda siege: stale_worker(siege, "accounts"),
    lambda siege: stale_worker(siege, "networks"),
    raise_in_a_step,
    stall_and_cut,
    roll,
)
"""Everything but the kills, which come in between."""
