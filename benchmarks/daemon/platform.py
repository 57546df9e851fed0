"""A project folder with its own Dagster instance, and the daemon that runs on it."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import yaml

ROOT = Path(__file__).parents[2]
DAEMON = ["-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
SALESML = ["-c", "from salesml_assets.cli import main; main()"]
UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
SENSORS = ("new_sales", "refresh", "drift_retrain")


@dataclass
class Platform:
    """The folder, and its daemon when it runs.

    Attributes:
        home: The folder.
        daemon: The daemon's process.
        kills: How often the daemon was killed.
        run_killed: Whether a run was killed.
    """

    home: Path
    daemon: subprocess.Popen[bytes] | None = None
    kills: int = 0
    run_killed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, settings: dict[str, Any]) -> None:
        """Rebuilds the folder."""
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "sales").mkdir(parents=True)
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(ROOT / name, self.home)
        (self.home / "salesml.yaml").write_text(yaml.safe_dump(settings))

    def environment(self) -> dict[str, str]:
        rest = {name: value for name, value in os.environ.items() if not name.startswith(("SALESML_", "DAGSTER_"))}
        return rest | {"PYTHONPATH": str(ROOT), "DAGSTER_HOME": str(self.home)}

    def salesml(self, *arguments: str) -> None:
        """Runs a command to its end."""
        subprocess.run([sys.executable, *SALESML, *arguments], cwd=self.home, env=self.environment(), check=True)

    def deliver(self, name: str, rows: pl.DataFrame) -> None:
        """Puts a file into the source, whole or not at all."""
        hidden = self.home / "sales" / f".{name}.parquet"
        rows.write_parquet(hidden)
        hidden.replace(self.home / "sales" / f"{name}.parquet")

    def start(self) -> None:
        """Starts the daemon, which starts the code server."""
        log = (self.home / "daemon.log").open("ab")
        self.daemon = subprocess.Popen(
            [sys.executable, *DAEMON], cwd=self.home, env=self.environment(), stdout=log, stderr=log
        )

    def stop(self) -> None:
        """Ends the daemon, and whatever it left behind."""
        with self.lock:
            assert self.daemon is not None
            self.daemon.send_signal(signal.SIGINT)
            self.daemon.wait(60)
        for process in self.processes():
            _kill(process)

    def kill_daemon(self) -> None:
        """Kills the daemon without a word, and starts another one some seconds later."""
        with self.lock:
            assert self.daemon is not None
            self.daemon.kill()
            self.daemon.wait()
            self.kills += 1
            time.sleep(random.uniform(1, 5))
            self.start()

    def kill_run(self) -> None:
        """Kills the process in which a run is going on, if there is one, and its Java with it."""
        for process, parent in self.javas().items():
            _kill(parent)
            _kill(process)
            self.run_killed = True
            return

    def javas(self) -> dict[int, int]:
        """The processes of Java that work in this folder, each with its parent."""
        found = {process: _status(process) for process in self.processes()}
        return {process: int(status["PPid"]) for process, status in found.items() if status.get("Name") == "java"}

    def processes(self) -> list[int]:
        """The processes that work in this folder."""
        mark = f"DAGSTER_HOME={self.home}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if mark in (entry / "environ").read_bytes() + b"\0":
                        found.append(int(entry.name))
                except OSError:  # it has ended meanwhile
                    continue
        return found

    def ask(self, question: Callable[[dg.DagsterInstance], Any]) -> Any:
        """Asks the instance; its storage is relative to the folder."""
        before = Path.cwd()
        os.chdir(self.home)
        try:
            with dg.DagsterInstance.from_config(str(self.home)) as instance:
                return question(instance)
        finally:
            os.chdir(before)

    def settle(self, rows: int, minutes: float = 20) -> None:
        """Waits until this many rows are loaded and judged, and no sensor finds anything more to do.

        Raises:
            TimeoutError: It is not so in time.
        """
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            if self.ask(lambda instance: _settled(instance, rows)):
                return
            time.sleep(3)
        raise TimeoutError(f"{self.home}: not settled after {minutes} minutes")


def _settled(instance: dg.DagsterInstance, rows: int) -> bool:
    if instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1):
        return False
    loaded = instance.get_latest_materialization_event(dg.AssetKey("raw_sales"))
    judged = instance.get_latest_materialization_event(dg.AssetKey("drift_report"))
    if loaded is None or loaded.asset_materialization is None or judged is None:
        return False
    found = loaded.asset_materialization.metadata["rows in the source"].value
    last = instance.get_run_records(limit=1)[0].end_time or 0.0
    if found != rows or judged.timestamp < loaded.timestamp:
        return False
    states = [state for state in instance.all_instigator_state() if state.name in SENSORS]
    ticks = [instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1) for state in states]
    # Each sensor has begun to look after the last run was over for longer than the longest interval.
    return len(states) == len(SENSORS) and all(tick and tick[0].timestamp > last + 65 for tick in ticks)


def _status(process: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it has ended meanwhile
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
