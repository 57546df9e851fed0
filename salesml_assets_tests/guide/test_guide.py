"""Every asset, check and column has words, and none that belong to nothing."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

import salesml_assets
from salesml_assets.config.settings import Settings
from salesml_assets.definitions import definitions
from salesml_assets.forecasting.explanations.columns import SCHEMA
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.panel import feature_names
from salesml_assets.forecasting.realised import ACCURACY_SCHEMA
from salesml_assets.guide.columns import column_description
from salesml_assets.guide.next_steps import ASSETS, CHECKS
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel
from salesml_assets_tests.forecasting.small_models import SETTINGS


@pytest.fixture(scope="module")
def graph() -> dg.AssetGraph:
    settings = Settings(catalog={"owners": ["ana@example.com", "team:retail"]},
                        forecast={"known_future": {"path": "plan.csv"}})  # fmt: skip
    return definitions(settings).resolve_asset_graph()


def test_every_asset_says_what_to_do_and_who_owns_it(graph: dg.AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert "If it fails: " in (node.description or ""), key
        assert list(node.owners) == ["ana@example.com", "team:retail"], key
        assert node.kinds, key
        assert node.group_name != "default", key
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert ASSETS.keys() <= names


def test_every_asset_links_to_its_code(graph: dg.AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        (reference,) = graph.get(key).metadata["dagster/code_references"].code_references
        lines = Path(reference.file_path).read_text(encoding="utf-8").splitlines()
        assert lines[reference.line_number - 1].strip().startswith(("@dg.", "def ")), key


def test_links_to_code_lead_into_the_repository_where_one_is_set() -> None:
    catalog = {"repository": "https://github.com/acme/sales", "revision": "v2"}
    graph = definitions(Settings(catalog=catalog)).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        (reference,) = graph.get(key).metadata["dagster/code_references"].code_references
        found = re.fullmatch(r"https://github\.com/acme/sales/tree/v2/(salesml_assets/\S+\.py)#L\d+", reference.url)
        assert found, reference.url
        assert (Path(salesml_assets.__file__).parents[1] / found.group(1)).is_file()
    with pytest.raises(ValidationError, match="repository"):
        Settings(catalog={"repository": "git@example.com:acme"})


def test_every_check_says_what_to_do(graph: dg.AssetGraph) -> None:
    checks = {key: graph.get_check_spec(key).description for key in graph.asset_check_keys}
    silent = {key.name for key, text in checks.items() if "If it fails: " not in (text or "")} - {"in_step"}
    assert not silent
    assert CHECKS.keys() <= {key.name for key in checks}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("explanations", SCHEMA.names()),
        ("forecast_accuracy", ACCURACY_SCHEMA.names()),
        ("features", small_features(SETTINGS).columns),
        ("panel", small_panel(small_features(SETTINGS), SETTINGS).columns),
        ("forecasts", ["unique_id", "product", "ds", "yhat", "lo80", "hi95", "model", "model_version", "cutoff"]),
        ("hierarchy_forecasts", ["level", "node", "category", "store", "series", "ds", "yhat", "lo80", "cutoff"]),
        ("raw_sales", ["InvoiceNo", "_month"]),
        ("panel", ["f_promo", "c_flyer", "f_promo_like"]),
    ],
)
def test_every_column_has_a_meaning(table: str, columns: list[str]) -> None:
    assert not [column for column in columns if not column_description(table, column)]


def test_features_have_their_own_labels() -> None:
    labels = {column_description("panel", name) for name in feature_names(FeatureSpec())}
    assert len(labels) == len(feature_names(FeatureSpec()))


def test_an_owner_is_an_address_or_a_team() -> None:
    with pytest.raises(ValidationError, match="neither an e-mail address nor"):
        Settings(catalog={"owners": ["somebody"]})
