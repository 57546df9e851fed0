"""The checks of drift: one for each kind, with the severity that the settings give it."""

from __future__ import annotations

import pandas as pd

from salesml_assets.checks.base import ERROR, WARN
from salesml_assets.checks.monitoring import COLUMNS, DESCRIPTIONS, SHOWN, measure_drift
from salesml_assets.config.settings import Settings
from salesml_assets.drift.parameters import KINDS

from .lakes import failed

SETTINGS = Settings(drift={"errors": ["target"]})


def report(*drifted: str, tests: int = 2, without: tuple[str, ...] = ()) -> pd.DataFrame:
    """Some tests of each kind; of the kinds named, the second one has drifted."""
    rows = [
        {
            "kind": kind, "test": "level", "subject": f"y{number}", "statistic": 0.1, "effect": 0.02, "p_value": 0.5,
            "min_effect": 0.1, "p_adjusted": 0.001 if kind in drifted and number == 1 else 0.5 + number / 1000,
            "drifted": kind in drifted and number == 1, "detail": f"detail {number}",
        }
        for kind in KINDS if kind not in without for number in range(tests)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_each_kind_has_its_check(findings):
    assert set(DESCRIPTIONS) == set(KINDS)
    assert failed(findings(measure_drift, SETTINGS, drift_report=report())) == set()
    for kind in KINDS:
        found = findings(measure_drift, SETTINGS, drift_report=report(kind))
        assert failed(found) == {f"no_{kind}_drift"}
        finding = found[f"no_{kind}_drift"]
        assert finding.severity == (ERROR if kind == "target" else WARN)
        assert "level of y1: detail 1" in finding.description
        assert (finding.measured["tests"], finding.measured["drifted"]) == (2, 1)


def test_the_table_shows_the_most_unusual_tests(findings):
    found = findings(measure_drift, SETTINGS, drift_report=report("mix", tests=SHOWN + 5))
    rows = found["no_mix_drift"].measured["table"].records
    assert len(rows) == SHOWN
    assert rows[0].data == {
        "test": "level", "subject": "y1", "effect": 0.02, "min_effect": 0.1, "p_adjusted": 0.001, "drifted": "True",
    }  # fmt: skip
    assert set(rows[0].data) == set(COLUMNS)


def test_a_kind_without_a_test_passes(findings):
    found = findings(measure_drift, SETTINGS, drift_report=report(without=("error",)))["no_error_drift"]
    assert found.passed
    assert found.measured["tests"] == 0
