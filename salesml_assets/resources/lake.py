"""The lake in Dagster: a resource to read tables, and the IO manager that writes each asset as one Delta table."""

# No postponed annotations here: Dagster reads the types of nested resources from the class.
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg
from pydantic import Field, PrivateAttr

from salesml_assets.config.settings import S3Settings, Settings
from salesml_assets.guide.columns import column_description
from salesml_assets.lake.parquet import Batches
from salesml_assets.lake.spark_tables import read_table, write_months, write_table
from salesml_assets.lake.store import UNDATED, Commit, LakeError, Lakehouse
from salesml_assets.names import FULL_LOAD_TAG
from salesml_assets.resources.spark import SparkResource
from salesml_assets.text import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from pyspark.sql import DataFrame

    Rows: TypeAlias = pd.DataFrame | pl.DataFrame | pa.Table | Batches

# A Spark DataFrame in the signature of an asset: Dagster resolves those annotations, and must not import Spark for it.
Table = Any

MONTH_COLUMN = "month_column"  # key in a partitioned asset's metadata: the column that holds its partition's month


class Lake(dg.ConfigurableResource):
    """The tables of the lake, one per asset.

    Share one Spark session between all resources of a run by giving the same `SparkResource.configure_at_launch()`
    here and as the top-level resource `spark`: Dagster starts a copy of its own for any other nested resource.
    """

    root: str = Field(description="Folder or s3a://bucket/prefix under which each asset has its table.")
    s3_endpoint: str | None = Field(None, description="Address of an object store that is not AWS.")
    s3_region: str = Field("us-east-1", description="Region of the object store.")
    s3_path_style: bool = Field(True, description="Bucket in the path instead of in the host name.")
    spark: dg.ResourceDependency[SparkResource]

    @classmethod
    def from_settings(cls, settings: Settings, spark: Any) -> "Lake":
        """The lake that the settings name.

        Args:
            settings: The settings; `lake.root` and the section `s3` are used.
            spark: The Spark resource, usually `SparkResource.configure_at_launch()`.
        """
        return cls(
            root=settings.lake.root,
            s3_endpoint=settings.s3.endpoint,
            s3_region=settings.s3.region,
            s3_path_style=settings.s3.path_style,
            spark=spark,
        )

    @property
    def tables(self) -> Lakehouse:
        """The same tables without Dagster."""
        s3 = S3Settings(endpoint=self.s3_endpoint, region=self.s3_region, path_style=self.s3_path_style)
        return Lakehouse(self.root, s3)

    def path(self, name: str) -> str:
        """The address of a table."""
        return self.tables.path(name)

    def exists(self, name: str) -> bool:
        """Whether the table can be read."""
        return self.tables.exists(name)

    def version(self, name: str) -> int:
        """Number of the table's latest version."""
        return self.tables.version(name)

    def version_in_run(self, name: str, run_id: str) -> int:
        """The version of a table that a run reads: the one that it wrote, else the latest."""
        written = self.tables.version_of_run(name, run_id)
        return self.version(name) if written is None else written

    def history(self, name: str, limit: int | None = None) -> list[Commit]:
        """The table's versions, newest first."""
        return self.tables.history(name, limit)

    def read(self, name: str, version: int | None = None) -> "DataFrame":
        """The table as a Spark DataFrame, fixed to a version (default: the latest).

        Raises:
            LakeError: There is no such table.
        """
        return read_table(self.spark.session, self.tables, name, version)

    def read_pandas(
        self, name: str, columns: "Sequence[str] | None" = None, filters: Any = None, version: int | None = None
    ) -> "pd.DataFrame":
        """A table that fits into memory, read without Spark; see `Lakehouse.read_pandas`."""
        return self.tables.read_pandas(name, columns, filters, version)


class DeltaIOManager(dg.ConfigurableIOManager):
    """Writes each asset as one Delta table, in one commit, and loads it again at the version that the run wrote.

    An asset without partitions replaces its whole table. An asset with monthly partitions (keys 'yyyy-MM-01', the
    column named by its metadata's "month_column") replaces the months of the run and the rows in the bucket 'undated';
    a run over all its partitions, or tagged as the load of a whole source, replaces the whole table and its schema.
    """

    lake: dg.ResourceDependency[Lake]
    _run_id: str | None = PrivateAttr(default=None)
    _full_load: bool = PrivateAttr(default=False)
    _versions: dict[str, int] = PrivateAttr(default_factory=dict)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Stores the run's id: all its steps see the same version of a table."""
        if context.run:
            self._run_id = context.run.run_id
            self._full_load = FULL_LOAD_TAG in context.run.tags

    def handle_output(self, context: dg.OutputContext, obj: "DataFrame | Rows") -> None:
        """Writes a Spark DataFrame or rows from Python, and adds the table's new state to the metadata."""
        name = _table_name(context.asset_key)
        started = time.monotonic()
        commit = self._write(context, obj, name)
        self._versions[name] = commit.version
        context.add_output_metadata(self._metadata(context, name, commit, time.monotonic() - started))

    def load_input(self, context: dg.InputContext) -> "DataFrame":
        """The table as a Spark DataFrame: for a partitioned asset the months asked for and the rows without a date."""
        name = _table_name(context.asset_key)
        frame = self.lake.read(name, self._pinned(name))
        if not context.has_asset_partitions or self._covers_all(context):
            return frame
        months = _months(context)
        column = self.lake.tables.partition_columns(name)[0]
        return frame.where(frame[column].isin([*months, UNDATED]))

    def _write(self, context: dg.OutputContext, obj: Any, name: str) -> Commit:
        tables = self.lake.tables
        in_spark = hasattr(obj, "sparkSession")
        if not (in_spark or context.has_asset_partitions or tables.needs_delta_writer):
            if isinstance(obj, Batches):
                return tables.write_batches(obj.batches, obj.schema, name, run_id=self._run_id)
            return tables.write_arrow(_arrow_table(obj), name, run_id=self._run_id)
        frame: DataFrame = obj if in_spark else self.lake.spark.session.createDataFrame(_arrow_table(obj))
        if not context.has_asset_partitions:
            return write_table(frame, tables, name, run_id=self._run_id)
        column = context.definition_metadata.get(MONTH_COLUMN)
        if not isinstance(column, str):
            raise LakeError(f"{name}: a partitioned asset names its month column in the metadata key {MONTH_COLUMN!r}")
        if self._covers_all(context):
            return write_table(frame, tables, name, month_column=column, run_id=self._run_id)
        return write_months(frame, tables, name, column, _months(context), run_id=self._run_id)

    def _covers_all(self, context: dg.OutputContext | dg.InputContext) -> bool:
        return self._full_load or set(context.asset_partition_keys) == set(
            context.asset_partitions_def.get_partition_keys()
        )

    def _pinned(self, name: str) -> int:
        """The version that this run reads: the one it wrote, else the latest when the run first used it."""
        if name not in self._versions:
            # Another process of the same run may have written it.
            written = self.lake.tables.version_of_run(name, self._run_id) if self._run_id else None
            self._versions[name] = self.lake.version(name) if written is None else written
        return self._versions[name]

    def _metadata(self, context: dg.OutputContext, name: str, commit: Commit, seconds: float) -> dict[str, Any]:
        tables = self.lake.tables
        size = tables.size(name, commit.version)
        columns = tables.columns(name, commit.version)
        values: dict[str, Any] = {
            "dagster/row_count": size.rows,
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(key, kind, column_description(name, key)) for key, kind in columns.items()]
            ),
            "dagster/uri": masked(tables.path(name)),
            "table version": commit.version,
            "table bytes": size.bytes,
            "table files": size.files,
            "write seconds": round(seconds, 3),
        }
        if context.has_asset_partitions:
            values["rows written"] = commit.rows_written
        return values


def _table_name(key: dg.AssetKey) -> str:
    return "/".join(key.path)


def _months(context: dg.OutputContext | dg.InputContext) -> list[str]:
    return [key[:7] for key in context.asset_partition_keys]


def _arrow_table(rows: "Rows") -> "pa.Table":
    """Rows in Arrow: of a pandas frame, not-a-number and missing text become null, an all-missing column text."""
    import polars as pl
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, Batches):
        return pa.concat_tables([rows.schema.empty_table(), *rows.tables()])
    if isinstance(rows, pl.DataFrame):
        return rows.to_arrow()
    table = pa.Table.from_pandas(rows, preserve_index=False)
    fields = [pa.field(field.name, pa.string()) if pa.types.is_null(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))
