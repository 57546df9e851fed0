"""Versions by hand: what they write, what they refuse, and that no row before them changes."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.model.bundle import MODEL_FILE, BundleError
from salesml_assets.forecasting.versions import (
    Version,
    VersionError,
    all_versions,
    latest_version,
    listing,
    promote,
    read_version,
    roll_back,
)
from salesml_assets.lake.store import LakeError
from salesml_assets.names import PRODUCTION_MODEL
from salesml_assets_tests.forecasting.small_models import SETTINGS, Shop, bundle

NOW = dt.datetime(2024, 4, 2, 9, 30, tzinfo=dt.timezone(dt.timedelta(hours=-3)))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path / "lake")
    for version in (1, 2, 3):
        made.train(bundle(version))
    return made


def choose(shop: Shop, version: int, settings: Settings = SETTINGS) -> Version:
    return promote(
        shop.lake, shop.files, settings, version=version, by="ana", reason="steadier before Christmas", now=NOW
    )


def go_back(shop: Shop, settings: Settings = SETTINGS) -> Version:
    return roll_back(shop.lake, shop.files, settings, by="ana", reason="odd forecasts", now=NOW)


def test_before_the_first_training_there_is_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    assert (all_versions(shop.lake), latest_version(shop.lake)) == ([], None)
    with pytest.raises(LakeError, match="no table 'production_model'"):
        listing(shop.lake)
    with pytest.raises(VersionError, match=r"no version 1: there is none yet: run `salesml run` first"):
        choose(shop, 1)
    with pytest.raises(VersionError, match=r"no production model yet: run `salesml run` first"):
        go_back(shop)


def test_a_promotion_is_a_new_row_with_who_when_and_why(shop: Shop) -> None:
    before = shop.lake.read_polars(PRODUCTION_MODEL)
    made = choose(shop, 1)
    after = shop.lake.read_polars(PRODUCTION_MODEL)
    assert after.head(3).equals(before)
    assert after.schema == before.schema
    assert made == latest_version(shop.lake)
    first = all_versions(shop.lake)[0]
    assert (made.version, made.repeats, first.repeats) == (4, True, False)
    assert made.decision == {
        "action": "promote", "version": 1, "by": "ana", "reason": "steadier before Christmas",
        "at": "2024-04-02T12:30:00+00:00",
    }  # fmt: skip
    for name in ("algorithm", "parameters", "path", "folder", "cutoff", "trained_at", "lake_versions", "settings"):
        assert getattr(made, name) == getattr(first, name)
    read = read_version(shop.files, made)
    assert (read.version, read.model) == (4, bundle(1).model)
    lines = listing(shop.lake).splitlines()
    assert lines[0].split() == ["version", "algorithm", "cutoff", "trained_at", "origin", "path"]
    assert [line.split()[0] for line in lines[1:]] == ["4", "3", "2", "1"]
    assert "promote of version 1 by ana: steadier before Christmas" in lines[1]
    assert " trained " in lines[2]


def test_a_training_after_a_choice_counts_on(shop: Shop) -> None:
    choose(shop, 2)
    shop.train(bundle(5))
    assert [version.version for version in all_versions(shop.lake)] == [1, 2, 3, 4, 5]
    with pytest.raises(LakeError, match="version 5 came in while version 5 was trained: run again"):
        shop.train(bundle(5))


def test_going_back_again_goes_further_back(shop: Shop) -> None:
    def serves() -> str:
        newest = latest_version(shop.lake)
        assert newest is not None
        return newest.folder.partition("-")[0]

    serving = []
    for _ in range(2):
        go_back(shop)
        serving.append(serves())
    assert serving == ["2", "1"]
    with pytest.raises(VersionError, match="version 1 is the first one: there is nothing to go back to"):
        go_back(shop)
    choose(shop, 3)  # after versions 1 2 3 2 1
    assert serves() == "3"
    go_back(shop)
    assert serves() == "1"
    with pytest.raises(VersionError, match="the first one"):
        go_back(shop)
    assert [version.version for version in all_versions(shop.lake)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("version", "forecast", "message"),
    [
        (9, {}, "there is no version 9: there are 1 to 3"),
        (0, {}, "there is no version 0"),
        (3, {}, "version 3 is in production already$"),
        (1, {"series": ["store", "product"]}, "forecast.series product, the settings say store, product: it cannot"),
        (1, {"frequency": "W-SUN"}, "forecast.frequency D, the settings say W-SUN"),
        (1, {"target": "quantity"}, "forecast.target revenue, the settings say quantity"),
        (1, {"horizon": 14}, "version 1 forecasts 7 steps, forecast.horizon is 14"),
    ],
)
def test_what_cannot_serve_is_refused(shop: Shop, version: int, forecast: dict[str, object], message: str) -> None:
    settings = Settings(forecast={"horizon": 7, **forecast})
    before = shop.lake.version(PRODUCTION_MODEL)
    with pytest.raises(VersionError, match=message):
        choose(shop, version, settings)
    assert shop.lake.version(PRODUCTION_MODEL) == before


def test_the_same_model_under_another_number_is_refused(shop: Shop) -> None:
    choose(shop, 1)
    with pytest.raises(VersionError, match="version 1 is in production already, as version 4"):
        choose(shop, 1)


def test_a_broken_bundle_is_refused(shop: Shop) -> None:
    file = Path(shop.files.path(PRODUCTION_MODEL, "2-run-2", MODEL_FILE))
    file.write_text(file.read_text().replace('"rows": 1000', '"rows": 1001'))
    for attempt in (lambda: choose(shop, 2), lambda: go_back(shop)):
        with pytest.raises(BundleError, match="is not the file that was saved"):
            attempt()
    assert len(all_versions(shop.lake)) == 3


def test_neither_spark_nor_dagster_is_imported() -> None:
    code = (
        "import sys; import salesml_assets.forecasting.versions, salesml_assets.forecasting.model.history,"
        "salesml_assets.lake.store, salesml_assets.lake.files;"
        "print([name for name in ('pyspark', 'dagster', 'mlflow', 'xgboost') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
