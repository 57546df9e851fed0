"""The only module that imports from Dagster's private packages (`dagster._core` and the like).

An upgrade of Dagster may move any of these names; a test keeps all other modules away from them. The module imports
nothing of this project. Names in `_LAZY` are imported on first use: SQLAlchemy alone takes 0.7 s, and the code location
needs none of them.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import (
    CodeLocationOrigin,
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.tags import MAX_RETRIES_TAG, RUN_KEY_TAG, SCHEDULE_NAME_TAG, SENSOR_NAME_TAG
from dagster._utils.schedules import is_valid_cron_string

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
    from dagster._core.execution.stats import RunStepKeyStatsSnapshot, StepEventStatus
    from dagster._core.storage.daemon_cursor import DaemonCursorStorage
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
    from dagster._core.storage.runs.schema import RunsTable
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

__all__ = [
    "COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES",
    "FINISHED_STATUSES",
    "MAX_RETRIES_TAG",
    "RUN_KEY_TAG",
    "SCHEDULE_NAME_TAG",
    "SENSOR_NAME_TAG",
    "AssetCheckExecutionRecord",
    "AssetCheckExecutionRecordStatus",
    "AssetCheckExecutionsTable",
    "BaseAssetGraph",
    "CodeLocationOrigin",
    "DaemonCursorStorage",
    "FreshnessState",
    "GrpcServerCodeLocationOrigin",
    "InMemoryJob",
    "ReconstructableJob",
    "ReconstructableRepository",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "RunStepKeyStatsSnapshot",
    "RunsTable",
    "SqlEventLogStorage",
    "SqlRunStorage",
    "StepEventStatus",
    "code_server_answers",
    "execute_run_iterator",
    "is_valid_cron_string",
    "sqlite_instance_config",
    "workspace_code_locations",
]

_LAZY = {
    "AssetCheckExecutionsTable": "dagster._core.storage.event_log.schema",
    "BaseAssetGraph": "dagster._core.definitions.assets.graph.base_asset_graph",
    "DaemonCursorStorage": "dagster._core.storage.daemon_cursor",
    "RunStepKeyStatsSnapshot": "dagster._core.execution.stats",
    "RunsTable": "dagster._core.storage.runs.schema",
    "SqlEventLogStorage": "dagster._core.storage.event_log.sql_event_log",
    "SqlRunStorage": "dagster._core.storage.runs.sql_run_storage",
    "StepEventStatus": "dagster._core.execution.stats",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def workspace_code_locations(workspace: Path) -> list[CodeLocationOrigin]:
    """The code locations of a workspace file, as the Dagster UI names them, in the order of the file."""
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    return list(WorkspaceFileTarget([str(workspace)]).create_origins())


def code_server_answers(origin: GrpcServerCodeLocationOrigin) -> bool:
    """Whether a code server answers with its definitions; False if it is down or the definitions do not load."""
    from dagster._api.list_repositories import sync_list_repositories_grpc

    try:
        sync_list_repositories_grpc(origin.create_client())
    except dg.DagsterError:
        return False
    return True


def sqlite_instance_config(root: Path) -> dict[str, Any]:
    """The content of a `dagster.yaml` for an instance of its own: SQLite in `root/dagster`, logs in `root/logs`."""
    storage = {"base_dir": str(root / "dagster")}
    return {
        "storage": {"sqlite": storage},
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": storage,
        },
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(root / "logs")},
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
