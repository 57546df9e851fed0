"""Runs a command and measures its wall time and the peak memory of all its processes together."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# To ask for shared pages, Linux walks through all pages of a process and stops it meanwhile: four times a second took
# 13 % of a run's time.
INTERVAL = 1.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        seconds: Wall time.
        peak_mib: Peak of the memory of the process and all its descendants at one moment, in MiB.
        code: Exit code; None where the time limit ended it.
        log: File with everything the command printed.
    """

    seconds: float
    peak_mib: float
    code: int | None
    log: Path

    @property
    def timed_out(self) -> bool:
        """Whether the time limit ended it."""
        return self.code is None

    def require_success(self, what: str) -> None:
        """Raises RuntimeError with the end of the log unless the command succeeded."""
        if self.code != 0:
            ended = "was ended by the time limit" if self.timed_out else f"failed with exit code {self.code}"
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
            raise RuntimeError(f"{what} {ended}; the end of {self.log}:\n{tail}")


def run(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    limit: float | None = None,
) -> Measured:
    """Runs a command to its end or to the time limit.

    Memory is the proportional set size (pages shared by several processes are counted once), so that Spark's
    JVM, its Python workers and their common libraries are not counted several times.

    Args:
        command: Program and arguments.
        log: File for what it prints.
        environment: Variables added to those of this process.
        folder: Working directory.
        limit: Seconds after which it is ended, all its processes included.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            start_new_session=True,
        )
        started_by_it: list[psutil.Process] = []
        peak = _Peak(process.pid)
        peak.start()
        try:
            code: int | None = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            code = None
            started_by_it = _descendants(process.pid)
        finally:
            seconds = time.perf_counter() - started
            peak.stop()
            _end(process, started_by_it)
    return Measured(seconds, peak.bytes / MIB, code, log)


def _end(process: subprocess.Popen[bytes], started: list[psutil.Process]) -> None:
    """Ends what is left of the command: its process group, and what it started in groups of its own.

    A JVM outlives the Python that started it, and Spark's Python workers have a group of their own.
    """
    try:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all of the group has ended
    process.wait()
    for child in started:
        try:
            child.kill()  # psutil knows a process by its start time as well: another one with its id is safe
        except psutil.NoSuchProcess:
            continue


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


class _Peak(threading.Thread):
    """Samples the memory of a process tree."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self._pid = pid
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.is_set():
            self.bytes = max(self.bytes, tree_memory(self._pid, self.bytes))
            self._done.wait(INTERVAL)

    def stop(self) -> None:
        self._done.set()
        self.join()


def tree_memory(pid: int, above: int = 0) -> int:
    """Bytes of a process and its descendants, shared pages once (PSS; where the system has none: RSS).

    0 where they cannot be more than `above`, because not even all pages together are: that is quickly known.
    """
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    if _total(processes, lambda process: process.memory_info().rss) <= above:
        return 0
    return _total(processes, _proportional)


def _proportional(process: psutil.Process) -> int:
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


def _total(processes: Sequence[psutil.Process], size: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in processes:
        try:
            total += size(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended between the listing and the look at it
    return total
