"""The stack of docker-compose.yml, started from nothing with secrets, ports and sales of a test's own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "stand_ins" / "build.sh"
PROJECT = "salesml-test"
PORTS = {
    "DAGSTER_PORT": 13000, "GRAFANA_PORT": 13001, "MLFLOW_PORT": 15000, "PREDICTIONS_PORT": 18000,
    "PROMETHEUS_PORT": 19090, "ALERTMANAGER_PORT": 19093, "S3_PORT": 19000, "S3_CONSOLE_PORT": 19001,
    "MAIL_PORT": 18025,
}  # fmt: skip
SECRETS = (
    "S3_PASSWORD", "SPARK_SECRET", "POSTGRES_PASSWORD", "DAGSTER_POSTGRES_PASSWORD", "MLFLOW_POSTGRES_PASSWORD",
    "API_KEY", "GRAFANA_PASSWORD",
)  # fmt: skip
PULL = "SALESML_STACK_PULL"  # 1: images are pulled instead of built from packages
PULLED = os.environ.get(PULL) == "1"
LEFT_OUT = () if PULLED else ("grafana",)  # in no registry of packages
# The store's disk is a small one of the test's own, so that it can be filled.
SMALL_DISK = """
volumes:
  objects:
    driver_opts: {{type: none, o: bind, device: {folder}}}
"""
DISK_SIZE = "3g"
T = TypeVar("T")


def run(command: Sequence[str], seconds: float = 600, check: bool = True, **variables: str) -> str:
    """Runs a command in the project; its standard output.

    Raises:
        AssertionError: It failed; the message has the end of what it printed.
    """
    environment = os.environ | {"DOCKER_BUILDKIT": "0"} | variables
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    if check:
        told = (ended.stdout + ended.stderr)[-4000:]
        assert ended.returncode == 0, f"{' '.join(command)} ended with {ended.returncode}\n{told}"
    return ended.stdout


def wait_for(what: str, look: Callable[[], T | None], seconds: float, pause: float = 2.0) -> T:
    """Asks until there is an answer.

    Args:
        what: What is waited for, for the message.
        look: Gives the answer; None or False while there is none.
        seconds: Time limit.
        pause: Seconds between two questions.

    Raises:
        AssertionError: There was none in time.
    """
    end = time.monotonic() + seconds
    last: Exception | None = None
    while time.monotonic() < end:
        try:
            found = look()
            if found:
                return found
            last = None
        except (urllib.error.URLError, OSError, AssertionError, KeyError) as error:
            last = error
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds:g} s ({last!r})")


@dataclass
class Stack:
    """A running stack.

    Attributes:
        folder: Folder of its files: values, settings, the store's disk.
        values: The values of the compose file's variables.
    """

    folder: Path
    values: dict[str, str] = field(default_factory=dict)

    @property
    def env_file(self) -> Path:
        """The values as a file."""
        return self.folder / "env"

    @property
    def disk(self) -> Path:
        """The folder that the store writes to, a file system of its own."""
        return self.folder / "disk"

    def prepare(self) -> None:
        """Writes the stack's files, and mounts its disk."""
        write_env(self.env_file, self.values)
        (self.folder / "disk.yml").write_text(SMALL_DISK.format(folder=self.disk), encoding="utf-8")
        self.disk.mkdir()
        run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(self.disk)])

    def remove(self) -> None:
        """Removes containers, volumes and the disk."""
        self.compose("down", "--volumes", "--remove-orphans", check=False)
        run(["umount", str(self.disk)])

    def empty(self) -> None:
        """Removes containers and all data; the stack can be started again, as new."""
        self.compose("down", "--volumes")
        for entry in self.disk.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    # --- containers

    @property
    def arguments(self) -> list[str]:
        """The arguments of `docker compose` that name this stack."""
        files = [part for file in (ROOT / "docker-compose.yml", self.folder / "disk.yml") for part in ("-f", str(file))]
        return ["--project-name", PROJECT, "--env-file", str(self.env_file), *files]

    def compose(self, *arguments: str, seconds: float = 600, check: bool = True) -> str:
        """Runs `docker compose` on the stack."""
        return run(["docker", "compose", *self.arguments, *arguments], seconds, check)

    def up(self, *services: str, seconds: float = 600) -> None:
        """Starts services (all, unless named) and waits until they are healthy."""
        without = [] if services else [part for name in LEFT_OUT for part in ("--scale", f"{name}=0")]
        self.compose("up", "--detach", "--wait", "--no-build", "--pull", "never", *without, *services, seconds=seconds)

    def pid(self, container: str) -> int:
        """The process id, on this machine, of a container's first process."""
        return int(self.docker("inspect", "--format", "{{.State.Pid}}", container))

    def set(self, **values: str) -> None:
        """Starts the services that use a value again with another one."""
        self.values |= values
        write_env(self.env_file, self.values)
        self.up()

    def containers(self, service: str) -> list[str]:
        """Ids of the service's running containers, sorted by name."""
        listed = self.compose("ps", "--format", "json", service)
        rows = [json.loads(line) for line in listed.splitlines() if line.strip()]
        return [row["ID"] for row in sorted(rows, key=lambda row: row["Name"])]

    def docker(self, *arguments: str, check: bool = True) -> str:
        """Runs `docker`."""
        return run(["docker", *arguments], check=check)

    def python(self, code: str, service: str = "code", seconds: float = 300) -> str:
        """Runs Python in a container of the stack; what it prints."""
        return self.compose("exec", "-T", service, "python", "-c", code, seconds=seconds)

    # --- servers

    def address(self, port: str) -> str:
        """The address of a published port."""
        return f"http://127.0.0.1:{self.values[port]}"

    def get(self, port: str, path: str, headers: dict[str, str] | None = None, seconds: float = 20) -> Any:
        """The JSON at an address."""
        request = urllib.request.Request(self.address(port) + path, headers=headers or {})
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return json.loads(answer.read())

    def predictions(self, path: str) -> Any:
        """The JSON of the prediction service."""
        return self.get("PREDICTIONS_PORT", path, {"X-API-Key": self.values["API_KEY"]})

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of a PromQL query now: metric and value of each series."""
        found = self.get("PROMETHEUS_PORT", "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert found["status"] == "success", found
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def mails(self) -> list[dict[str, Any]]:
        """The caught mails, newest first."""
        found: list[dict[str, Any]] = self.get("MAIL_PORT", "/api/v1/messages?limit=200")["messages"]
        return found

    def bucket(self) -> Any:
        """A boto3 client of the store; close it."""
        import boto3
        from botocore.config import Config

        return closing(
            boto3.client(
                "s3", endpoint_url=self.address("S3_PORT"), region_name="us-east-1",
                aws_access_key_id=self.values["S3_USER"], aws_secret_access_key=self.values["S3_PASSWORD"],
                config=Config(s3={"addressing_style": "path"}),
            )
        )  # fmt: skip

    # --- Dagster

    def graphql(self, query: str, **variables: Any) -> Any:
        """The answer of Dagster's API."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            self.address("DAGSTER_PORT") + "/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.loads(answer.read())
        assert "errors" not in told, told["errors"]
        return told["data"]

    def runs(self, job: str | None = None) -> list[dict[str, Any]]:
        """Runs, newest first: `runId`, `jobName`, `status`, `tags`."""
        query = """query ($filter: RunsFilter) { runsOrError(filter: $filter, limit: 100) { ... on Runs { results {
            runId jobName status startTime endTime tags { key value } } } } }"""
        found: list[dict[str, Any]] = self.graphql(query, filter={"pipelineName": job} if job else {})["runsOrError"][
            "results"
        ]
        for row in found:
            row["tags"] = {tag["key"]: tag["value"] for tag in row["tags"]}
        return found

    def status(self, run_id: str) -> str:
        """The status of a run."""
        query = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
        return str(self.graphql(query, id=run_id)["runOrError"]["status"])

    def failures(self, run_id: str) -> str:
        """The error messages of a run."""
        query = """query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
            ... on ExecutionStepFailureEvent { stepKey error { message causes { message } } }
            ... on RunFailureEvent { message error { message } } } } } }"""
        events = [event for event in self.graphql(query, id=run_id)["logsForRun"]["events"] if event]
        return json.dumps(events)[:6000]

    def launch(self, job: str, tags: dict[str, str]) -> str:
        """Queues a run through Dagster's API, as its page does; the run's id."""
        query = """mutation ($selector: JobOrPipelineSelector!, $tags: [ExecutionTag!]!) { launchPipelineExecution(
            executionParams: {selector: $selector, runConfigData: {}, executionMetadata: {tags: $tags}}) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        selector = {"repositoryLocationName": "salesml", "repositoryName": "__repository__", "pipelineName": job}
        told = self.graphql(
            query, selector=selector, tags=[{"key": key, "value": value} for key, value in tags.items()]
        )["launchPipelineExecution"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def switch_off(self, sensor: str) -> None:
        """Switches a sensor off."""
        find = """query ($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
            ... on Sensor { id } } }"""
        selector = {"repositoryLocationName": "salesml", "repositoryName": "__repository__", "sensorName": sensor}
        found = self.graphql(find, selector=selector)["sensorOrError"]["id"]
        stop = "mutation ($id: String) { stopSensor(id: $id) { __typename ... on PythonError { message } } }"
        told = self.graphql(stop, id=found)["stopSensor"]
        assert told["__typename"] == "StopSensorMutationResult", told

    def wait_run(self, run_id: str, seconds: float = 900) -> str:
        """Waits for the end of a run; its status."""
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        return wait_for(f"run {run_id}", lambda: status if (status := self.status(run_id)) in ended else None, seconds)


def has_engine() -> bool:
    """Whether a Docker engine with its compose plug-in answers."""
    if shutil.which("docker") is None:
        return False
    asked = (["docker", "info"], ["docker", "compose", "version"])
    return all(subprocess.run(each, capture_output=True, check=False).returncode == 0 for each in asked)


def new_values(settings: Path) -> dict[str, str]:
    """Values of a stack of its own: random secrets, ports beside those of a user's stack."""
    values = {name: secrets.token_hex(16) for name in SECRETS} | {name: str(port) for name, port in PORTS.items()}
    return values | {
        "DEMO": "false",
        "S3_USER": "salesml",
        "SALES_PATH": "s3a://sales/shop",
        "SETTINGS_FILE": str(settings),
        "COMPOSE_PROFILES": "trial",
        "SPARK_DRIVER_MEMORY": "1500m",
        "SPARK_EXECUTOR_MEMORY": "1g",
        "SPARK_WORKER_CORES": "1",
        "SPARK_SHUFFLE_PARTITIONS": "4",
    }


def write_env(file: Path, values: dict[str, str]) -> None:
    """Writes an env file."""
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")


def stand_in(service: str) -> str:
    """What an image of the stack really contains, if it is another server of the same kind; empty otherwise."""
    image = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"][service]["image"]
    return run(["docker", "inspect", "--format", '{{index .Config.Labels "salesml.stand-in"}}', image]).strip()


def build_images() -> str:
    """Builds the project's images and, where images cannot be pulled, the others; what was built."""
    told = "" if PULLED else run(["bash", str(STAND_INS)], seconds=1800)
    network = [] if PULLED else ["--network", "host"]
    for image, arguments in (
        ("salesml:latest", ["--file", "deploy/Dockerfile", "."]),
        ("salesml-mlflow:latest", ["deploy/mlflow"]),
    ):
        run(["docker", "build", "--quiet", *network, "--tag", image, *arguments], seconds=1800)
    return told
