"""The IO manager in real Dagster runs: one table per asset, months replaced by partition, and the metadata."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pandas as pd
import polars as pl
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.lake.parquet import Batches
from salesml_assets.lake.spark_tables import write_table
from salesml_assets.lake.store import UNDATED
from salesml_assets.names import FULL_LOAD_TAG
from salesml_assets.resources.lake import MONTH_COLUMN, DeltaIOManager, Lake
from salesml_assets.resources.spark import SparkResource

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2011-01-01", end_date="2011-05-01")
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


class TestSessionResource(SparkResource):
    """Hands out the session of the tests, and leaves it running."""

    __test__ = False

    @property
    def session(self) -> SparkSession:
        return SparkSession.active()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[SparkResource]:
        yield self


SOURCE = pd.DataFrame(
    {
        "product": ["a", "b", "c", "d", "e"],
        "_month": ["2011-01", "2011-02", "2011-03", "2011-04", UNDATED],
    }
)


class Delivery(dg.ConfigurableResource):
    """What has been delivered so far: the table that stands in for the source."""

    suffix: str = ""

    def rows(self, months: list[str]) -> pd.DataFrame:
        chosen = SOURCE[SOURCE["_month"].isin([*months, UNDATED])]
        return chosen.assign(product=chosen["product"] + self.suffix)


def monthly(**options):
    return dg.asset(
        partitions_def=MONTHS,
        metadata={MONTH_COLUMN: "_month"},
        io_manager_key="io_manager",
        **options,
    )


@monthly()
def raw_sales(context: dg.AssetExecutionContext, delivery: Delivery) -> pd.DataFrame:
    return delivery.rows([key[:7] for key in context.partition_keys])


@monthly()
def sales(raw_sales):
    return raw_sales.withColumnRenamed("product", "item")


@dg.asset
def totals(sales):
    return sales.groupBy("item").count()


@pytest.fixture
def lake(spark, tmp_path) -> Lake:
    settings = Settings(lake={"root": str(tmp_path)})
    return Lake.from_settings(settings, TestSessionResource())


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(lake: Lake, instance, *assets, months=None, suffix: str = "", **tags: str) -> dg.ExecuteInProcessResult:
    spark = TestSessionResource.configure_at_launch()
    shared = Lake(root=lake.root, spark=spark)
    definitions = dg.Definitions(
        assets=[raw_sales, sales, totals, *assets],
        jobs=[dg.define_asset_job("job", selection=dg.AssetSelection.assets(*(assets or (raw_sales, sales, totals))))],
        resources={"spark": spark, "io_manager": DeltaIOManager(lake=shared), "delivery": Delivery(suffix=suffix)},
        executor=dg.in_process_executor,
    )
    tags |= dict(zip(RANGE, months, strict=True)) if months else {}
    result = definitions.resolve_job_def("job").execute_in_process(instance=instance, tags=tags)
    assert result.success
    return result


def metadata(result, name: str) -> dict:
    return dict(result.asset_materializations_for_node(name)[-1].metadata)


def products(lake: Lake, name: str = "raw_sales", column: str = "product") -> list[str]:
    return sorted(lake.read_pandas(name)[column])


def test_one_run_over_all_months_covers_partitioned_and_whole_assets(lake, instance):
    result = run(lake, instance, months=("2011-01-01", "2011-04-01"))

    assert products(lake) == ["a", "b", "c", "d", "e"]
    assert lake.read_pandas("totals")["count"].sum() == 5
    for name in ("raw_sales", "sales"):
        assert len(instance.get_materialized_partitions(dg.AssetKey(name))) == 4
    written = metadata(result, "sales")
    assert written["dagster/row_count"].value == 5
    assert written["rows written"].value == 5
    assert written["table version"].value == 0
    assert written["dagster/uri"].value == f"{lake.root}/sales"
    assert written["table bytes"].value > 0
    assert written["write seconds"].value > 0
    assert [(c.name, c.type) for c in written["dagster/column_schema"].value.columns] == [
        ("item", "string"), ("_month", "string"),
    ]  # fmt: skip
    assert lake.history("sales")[0].run_id == result.run_id


def test_a_run_over_some_months_replaces_these_and_the_undated(lake, instance):
    run(lake, instance, months=("2011-01-01", "2011-04-01"))
    result = run(lake, instance, months=("2011-02-01", "2011-03-01"), suffix="2")

    assert products(lake) == ["a", "b2", "c2", "d", "e2"]
    assert products(lake, "sales", "item") == ["a", "b2", "c2", "d", "e2"]
    assert lake.read_pandas("totals")["count"].sum() == 5
    written = metadata(result, "raw_sales")
    assert (written["dagster/row_count"].value, written["rows written"].value) == (5, 3)


def test_a_run_that_loads_the_whole_source_replaces_the_whole_table(lake, instance):
    run(lake, instance, months=("2011-01-01", "2011-04-01"))
    run(lake, instance, months=("2011-03-01", "2011-04-01"), **{FULL_LOAD_TAG: "true"})

    assert products(lake) == ["c", "d", "e"]
    assert products(lake, "sales", "item") == ["c", "d", "e"]


def test_a_single_month_can_be_the_first_load(lake, instance):
    run(lake, instance, months=("2011-02-01", "2011-02-01"))

    assert products(lake) == ["b", "e"]
    assert len(instance.get_materialized_partitions(dg.AssetKey("sales"))) == 1


def test_the_same_run_again_changes_nothing_but_the_version(lake, instance):
    run(lake, instance, months=("2011-01-01", "2011-03-01"))
    before = {name: lake.read_pandas(name).sort_values(["_month"]) for name in ("raw_sales", "sales")}
    run(lake, instance, months=("2011-01-01", "2011-03-01"))

    for name, table in before.items():
        pd.testing.assert_frame_equal(lake.read_pandas(name).sort_values(["_month"]), table)
        assert lake.version(name) == 1


def test_a_run_reads_what_it_wrote_although_the_table_moved_on(lake, instance):
    @dg.asset
    def first() -> pd.DataFrame:
        return pd.DataFrame({"n": [1, 2]})

    @dg.asset(deps=[first])
    def intruder() -> None:
        write_table(lake.spark.session.range(9), lake.tables, "first")

    @dg.asset(deps=[intruder])
    def second(first):
        return first

    run(lake, instance, first, intruder, second)

    assert lake.version("first") == 1
    assert sorted(lake.read_pandas("second")["n"]) == [1, 2]


@pytest.mark.parametrize("folder", [".", "[lake] a|b"])
def test_pandas_frames_keep_types_and_gaps_become_null(lake, instance, folder):
    lake = Lake.from_settings(Settings(lake={"root": f"{lake.root}/{folder}"}), TestSessionResource())

    @dg.asset
    def frame() -> pd.DataFrame:
        return pd.DataFrame(
            {
                "number": [1.5, float("nan")],
                "text": ["a", None],
                "day": pd.to_datetime(["2011-01-01", None]).date,
                "nothing": [None, None],
                "count": [1, 2],
            },
            index=[7, 8],
        )

    run(lake, instance, frame)

    assert lake.tables.columns("frame") == {
        "number": "double", "text": "string", "day": "date", "nothing": "string", "count": "long",
    }  # fmt: skip
    assert lake.tables.read_arrow("frame").column("number").null_count == 1
    assert lake.read("frame").where("number is null and text is null and day is null").count() == 1


@pytest.mark.parametrize("folder", [".", "[lake] a|b"])
def test_polars_frames_and_batches_are_written(lake, instance, folder):
    lake = Lake.from_settings(Settings(lake={"root": f"{lake.root}/{folder}"}), TestSessionResource())
    rows = pl.DataFrame({"id": range(250), "text": ["a", None] * 125})

    @dg.asset
    def frame() -> pl.DataFrame:
        return rows

    @dg.asset
    def batches() -> Batches:
        return Batches(rows.iter_slices(60), rows.to_arrow().schema)

    result = run(lake, instance, frame, batches)

    for name in ("frame", "batches"):
        assert lake.tables.read_polars(name).sort("id").equals(rows)
        assert lake.tables.columns(name) == {"id": "long", "text": "string"}
        assert lake.tables.version_of_run(name, result.run_id) == 0
        (event,) = result.asset_materializations_for_node(name)
        assert event.metadata["dagster/row_count"].value == 250


def test_a_partitioned_asset_without_a_month_column_is_an_error(lake, instance):
    @dg.asset(partitions_def=MONTHS)
    def careless() -> pd.DataFrame:
        return SOURCE

    with pytest.raises(Exception, match="careless: a partitioned asset names its month column"):
        run(lake, instance, careless, months=("2011-01-01", "2011-01-01"))
    assert not lake.exists("careless")


def test_no_session_is_started_for_a_run_that_needs_none(tmp_path, instance):
    @dg.asset
    def quiet(spark: SparkResource) -> None:
        assert spark._session is None

    assert dg.materialize([quiet], resources={"spark": SparkResource()}, instance=instance).success
