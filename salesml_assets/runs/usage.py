"""Memory and processor time of a run so far: this process and all its descendants."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """Peak memory in bytes (sum of the peaks of all processes, so an upper bound) and CPU seconds."""

    peak_memory_bytes: int
    cpu_seconds: float


def usage_of_run() -> Usage | None:
    """Usage of this process, its JVM and its Python workers; None on systems without /proc."""
    if not (PROC / "self" / "stat").is_file():
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    family = _family(os.getpid(), _stats())
    peaks = [_peak(pid) for pid in family]
    # Times of ended processes are part of their parent's (fields cutime and cstime).
    seconds = sum(sum(times) for times in family.values()) / ticks
    return Usage(sum(peaks), round(seconds, 2))


def _stats() -> dict[int, tuple[int, list[int]]]:
    """Parent and times of every process: user, system, and those of ended children."""
    found = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # the process has ended in the meantime
            continue
        fields = text.rpartition(")")[2].split()  # the process name before may contain anything
        found[int(entry.name)] = (int(fields[1]), [int(value) for value in fields[11:15]])
    return found


def _family(root: int, stats: dict[int, tuple[int, list[int]]]) -> dict[int, list[int]]:
    """Times of a process and all its descendants."""
    members = {root}
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in stats.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return {pid: stats[pid][1] for pid in members if pid in stats}


def _peak(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
