"""A saved model: what comes back is what was saved, and anything else is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.model.bundle import (
    MODEL_FILE,
    SCHEMA_VERSION,
    Bundle,
    BundleError,
    Calendar,
    read_bundle,
    write_bundle,
)
from salesml_assets.forecasting.model.models import Baseline, Learned, Model
from salesml_assets.forecasting.pooled import COLUMNS
from salesml_assets_tests.forecasting.model.fitted import ROWS, learned

Files = dict[str, bytes]


def bundle(model: Model) -> Bundle:
    """A bundle of a model."""
    return Bundle(
        model=model, version=3, algorithm="xgboost", parameters={"max_depth": 3, "objective": "a+b"},
        cutoff=dt.date(2024, 2, 29), rows=10, features=FeatureSpec(
            numbers=("promo",), plan_groups=("store",), holidays=(("DE", "2024-05-01", "Labor Day"),), region="DE"
        ),
        series_keys=("store", "product"),
        horizon=7, calendar=Calendar(1, None, (6,)), non_negative=True,
        intervals=pl.DataFrame({"min_scale": [9.5, 0.0], "rows": [5, 5], "lo80": [-0.1, -0.3], "hi80": [1 / 3, 0.4]}),
        lake_versions={"panel": 4}, settings={"forecast": {"horizon": 7}},
        trained_at=dt.datetime(2024, 3, 1, 6, tzinfo=dt.UTC), decision={"winner": "xgboost"}, code_version="0.1.0+gabc",
        pooled=pl.DataFrame(
            [
                ("coefficient", "", dt.date(2024, 2, 29), "level", 1 / 3, None),
                ("plan", "store=7", dt.date(2024, 3, 1), "promo", 0.5, None),
            ],
            COLUMNS,
            orient="row",
        ),
    )  # fmt: skip


@pytest.fixture
def files() -> Files:
    stored: Files = {}
    write_bundle(bundle(learned()), lambda content, name: stored.setdefault(name, content))
    return stored


def reading(files: Files) -> Callable[[str], bytes]:
    """Reads a file that is there."""

    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    return read


@pytest.mark.parametrize("model", [Baseline("seasonal_naive"), learned()])
def test_what_comes_back_is_what_was_saved(model: Model) -> None:
    saved = bundle(model)
    loaded = read_bundle(reading(saved.to_files()), "here")
    assert loaded.to_files() == saved.to_files()
    for field in dataclasses.fields(Bundle):
        if field.name not in ("model", "intervals", "pooled", "profile"):  # frames: compared in the files
            assert getattr(loaded, field.name) == getattr(saved, field.name)
    assert loaded.intervals.equals(saved.intervals)
    assert loaded.pooled.equals(saved.pooled)
    np.testing.assert_array_equal(loaded.model.predict(ROWS), model.predict(ROWS))
    assert loaded.model.explain(ROWS).equals(model.explain(ROWS))
    assert loaded.model.importance() == model.importance()


def test_the_description_is_written_last_and_holds_no_code(files: Files) -> None:
    assert list(files) == ["booster_0.ubj", "booster_1.ubj", MODEL_FILE]
    values = json.loads(files[MODEL_FILE])
    assert values["schema_version"] == SCHEMA_VERSION
    assert sum(values["importance"].values()) == pytest.approx(1.0)
    assert b"pickle" not in b"".join(files.values())


def test_boosters_that_a_mean_takes_twice_are_saved_once() -> None:
    model = learned()
    twice = dataclasses.replace(model, regressors=(*model.regressors, model.regressors[0]))
    stored = bundle(twice).to_files()
    assert len(stored) == 3
    loaded = read_bundle(reading(stored), "here")
    assert isinstance(loaded.model, Learned)
    assert len(loaded.model.regressors) == 4
    np.testing.assert_array_equal(loaded.model.predict(ROWS), twice.predict(ROWS))


def test_a_missing_file_is_named(files: Files) -> None:
    for name in files:
        with pytest.raises(BundleError, match=rf"models/3.*{name} is missing"):
            read_bundle(reading({other: content for other, content in files.items() if other != name}), "models/3")


def test_a_bundle_of_an_older_release_says_what_to_do() -> None:
    with pytest.raises(BundleError, match=r"saved by an older release.*retrain"):
        read_bundle(reading({"manifest.json": b"{}"}), "production_model/1-abc")


def test_a_changed_file_is_refused(files: Files) -> None:
    broken = bytearray(files["booster_1.ubj"])
    broken[-5] ^= 1
    with pytest.raises(BundleError, match=r"booster_1\.ubj is not the file that was saved"):
        read_bundle(reading({**files, "booster_1.ubj": bytes(broken)}), "here")
    values = json.loads(files[MODEL_FILE])
    values["horizon"] = 8
    with pytest.raises(BundleError, match=r"model\.json is not the file that was saved"):
        read_bundle(reading({**files, MODEL_FILE: json.dumps(values).encode()}), "here")


def test_another_schema_version_is_refused(files: Files) -> None:
    values = json.loads(files[MODEL_FILE]) | {"schema_version": SCHEMA_VERSION + 1}
    with pytest.raises(BundleError, match=f"schema version {SCHEMA_VERSION + 1} is not known"):
        read_bundle(reading({**files, MODEL_FILE: json.dumps(values).encode()}), "here")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b'"text"', b"\xff\xfe"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="here"):
        read_bundle(reading({MODEL_FILE: content}), "here")
