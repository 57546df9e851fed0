"""The names that are Dagster's own are the ones that Dagster uses."""

from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from salesml_assets.names import RANGE_TAGS, range_tags


def test_tags_of_a_range_are_those_of_dagster() -> None:
    assert RANGE_TAGS == (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    assert range_tags("2024-01-01", "2024-03-01") == {
        ASSET_PARTITION_RANGE_START_TAG: "2024-01-01",
        ASSET_PARTITION_RANGE_END_TAG: "2024-03-01",
    }
