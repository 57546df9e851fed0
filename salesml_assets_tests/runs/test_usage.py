"""What a run uses, against what the system says of a process that is known to use it."""

from __future__ import annotations

import resource
import subprocess
import sys

from salesml_assets.runs.usage import usage_of_run

BUSY = """
import time
data = bytearray(b"x") * 120_000_000
while time.process_time() < 0.6: pass
print("busy", flush=True)
input()
"""


def test_memory_and_time_of_a_child_are_counted() -> None:
    before = usage_of_run()
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        during = usage_of_run()
        child.communicate("\n")
    after = usage_of_run()
    assert before is not None
    assert during is not None
    assert after is not None
    assert during.peak_memory_bytes - before.peak_memory_bytes > 120_000_000
    assert during.cpu_seconds - before.cpu_seconds >= 0.5
    assert after.cpu_seconds >= during.cpu_seconds


def test_the_process_itself_is_counted_as_the_system_counts_it() -> None:
    used = usage_of_run()
    own = resource.getrusage(resource.RUSAGE_SELF)
    assert used is not None
    assert used.peak_memory_bytes >= own.ru_maxrss * 1024 * 0.9
    assert used.cpu_seconds >= own.ru_utime * 0.9
