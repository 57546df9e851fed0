"""The page: complete, self-contained, escaped, the same bytes every time, whatever is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from salesml_assets.reporting.data import Business, DataQuality, Decision
from salesml_assets.reporting.figures import pictures
from salesml_assets.reporting.html import render_report

from .sample import bare_report, decision, full_report, metrics, timelines

VOID = {"meta", "br", "hr", "img", "link", "input"}
EVIL = "<script>alert('x')</script> & \"q\" $a_b$ {{ 7*7 }}"


class _Page(HTMLParser):
    """Reads a page: its elements, its attributes, its text; fails on elements that do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        """All text of the page, spaces collapsed."""
        return " ".join(" ".join(self.words).split())


def rendered(data):
    return render_report(data, pictures(data))


@pytest.fixture(scope="module")
def page() -> str:
    """The full report."""
    return rendered(full_report())


def test_the_full_report_says_what_it_was_given(page):
    text = _Page(page).text
    for words in (
        "XGBoost version 4, replaces Linear regression",
        "Forecast accuracy 70.0%",
        "Error reduction 25.0% below the baseline, seasonal naive",
        "30,000 of 100,000 sold; 10,000 less than the baseline",
        "Promoted. XGBoost replaces the linear regression: 11.8% less error.",
        "XGBoost misses by 30.0% of sales (WAPE), 25.0% less than the seasonal naive. In total, its forecasts are nei",
        "XGBoost 30.0% +4.00 +2.00 to +6.00 +11.8% < 0.001 < 0.001 yes",
        "XGBoost 30.0% 30.0 45.0 0.600 0.700 0.0% 79.0% 94.0% 1 min 15 s",
        "Looking further ahead, the error grows from 30.0% in days 1-7 to 36.0% in days 15-28.",
        "XGBoost was better than the baseline in 3 of 3 backtest periods.",
        "Of 100 actual values in the backtests, 79 inside the 80% interval and 94 inside the 95% interval.",
        "100% of the importance of all 3 features",
        "“tea/1” is forecast best (WAPE 10%) and “coffee/1” is forecast worst (WAPE 90%)",
        "95.0% are used and 50 (5.0%) set aside with a reason, most often “exact duplicate”.",
        "Invalid date The date is none. set aside 20",
        "2, forecast by moving average",
        "forecasts: complete warning 2 missing",
        "Trained on table versions: sales 7.",
        "max_depth 6",
    ):
        assert words in text, words


def test_the_page_needs_nothing_but_itself(page):
    assert not re.search(r"https?://", page)
    for tag, attributes in _Page(page).elements:
        assert tag not in {"script", "link", "iframe", "object", "img"}
        assert not [name for name in attributes if name.startswith("on")]
        assert all((attributes.get(name) or "#").startswith("#") for name in ("src", "href"))
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_the_page_can_be_read_without_seeing_it(page):
    elements = _Page(page).elements
    assert dict(elements)["html"] == {"lang": "en-US"}
    drawings = [attributes for tag, attributes in elements if tag == "svg"]
    assert len(drawings) == 15
    assert all(attributes["role"] == "img" and len(attributes["aria-label"]) > 20 for attributes in drawings)
    headers = [attributes for tag, attributes in elements if tag == "th"]
    assert all(attributes.get("scope") in {"row", "col"} for attributes in headers)
    tags = [tag for tag, _ in elements]
    assert tags.count("table") == tags.count("caption") > 5
    assert tags.count("h1") == 1


def test_ids_are_unique_on_the_page(page):
    ids = [attributes["id"] for _, attributes in _Page(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_same_data_give_the_same_bytes(page):
    assert rendered(full_report()) == page


def test_what_comes_from_the_data_is_text_and_nothing_else():
    lines = {
        name: frame.assign(unique_id=EVIL) if "unique_id" in frame else frame for name, frame in timelines().items()
    }
    renamed = metrics().replace({"xgboost": EVIL, "tea": EVIL})
    data = full_report(
        title=EVIL,
        source=EVIL,
        settings={EVIL: EVIL},
        metrics=renamed,
        decision=decision() | Decision(winner=EVIL, reason=EVIL, challengers=[{"algorithm": EVIL, "wape": 0.1}]),
        runs=pd.DataFrame({"algorithm": [EVIL], "parameters": [{EVIL: EVIL}], "seconds": [1.0], "rows": [1]}),
        importance=pd.DataFrame({"name": [EVIL], "value": [1.0]}),
        importance_of=EVIL,
        best_series=pd.DataFrame({"unique_id": [EVIL], "wape": [0.1], "label": [EVIL]}),
        quality=DataQuality(delivered=1, accepted=0, quarantined=1, reasons={EVIL: 1}, descriptions={EVIL: EVIL}),
        checks=pd.DataFrame({"check": [EVIL], "passed": [False], "severity": [EVIL], "detail": [EVIL]}),
        lake_versions={EVIL: 1},
        **lines,
    )
    page = rendered(data)
    parsed = _Page(page)
    assert "<script" not in page
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert "alert('x')" in parsed.text
    assert "{{ 7*7 }}" in parsed.text


NAMES = ["日本茶 抹茶", "شاي أخضر", "чай «зелёный»", "thé 🍵", "a\x00b\x1bc", "x" * 5000, " ", "$x_1$"]


def test_names_in_any_script_are_drawn():
    lines = timelines()
    for part in ("series_history", "series_backtest", "series_future"):
        one = lines[part][lines[part]["unique_id"] == "tea/1"]
        lines[part] = pd.concat([one.assign(unique_id=name) for name in NAMES])
    best, worst = (pd.DataFrame({"unique_id": names, "wape": 0.1}) for names in (NAMES[:4], NAMES[4:]))
    page = rendered(full_report(**lines, best_series=best, worst_series=worst))
    page.encode("utf-8")
    assert "\x00" not in page
    text = _Page(page).text
    for name in ("日本茶 抹茶", "شاي أخضر", "чай «зелёный»", "thé 🍵", "a bc", "$x_1$"):
        assert name in text.replace("abc", "a bc")


def test_a_bare_report_leaves_out_what_it_has_no_data_for():
    text = _Page(rendered(bare_report())).text
    assert "How the algorithms compare" in text
    for section in (
        "Where sales are heading",
        "Why this model",
        "How sure",
        "What drives",
        "The data behind it",
        "Checks",
    ):
        assert section not in text


def test_one_algorithm_alone_is_shown_without_comparison():
    only = bare_report(
        metrics=metrics({"seasonal_naive": 0.4}),
        decision=Decision(champion=None, winner="seasonal_naive", promoted=False, reason="None beats it."),
        business=Business(accuracy=60.0, error_reduction=0.0, error_value=10.0, saved=0.0, sold=25.0, is_money=False),
    )
    text = _Page(rendered(only)).text
    assert "Baseline in production. None beats it." in text
    assert "Error in units" in text
    assert "Error reduction" not in text
    assert "less than" not in text


def test_a_winner_that_is_not_the_best_is_explained():
    stays = full_report(
        decision=Decision(
            champion="linear_regression", winner="linear_regression", promoted=False, reason="Within chance."
        )
    )
    text = _Page(rendered(stays)).text
    assert "No change. Within chance." in text
    assert "XGBoost has the lowest error, 30.0%" in text


def test_weekly_units_are_named_so():
    data = full_report(frequency="W-SAT", target="quantity", horizon=1)
    text = _Page(rendered(data)).text
    assert "weekly (W-SAT)" in text
    assert "1 week ahead" in text
    assert "units are expected" in text
    assert "days" not in re.sub(r"closed_days", "", text)


def test_a_large_report_stays_below_three_megabytes():
    random = np.random.default_rng(0)
    y = random.lognormal(3, 2, 5000)
    names = [f"series {i}" for i in range(8)]
    dates = pd.date_range("2023-01-01", periods=160)
    history = pd.DataFrame(
        [(name, ds, value) for name in names for ds, value in zip(dates, y, strict=False)],
        columns=["unique_id", "ds", "y"],
    )
    algorithms = {f"algorithm_{i}": 0.3 + i / 50 for i in range(20)} | {"seasonal_naive": 0.9}
    data = full_report(
        metrics=metrics(algorithms),
        decision=Decision(champion=None, winner="algorithm_0", promoted=True, reason="Best."),
        sample=pd.DataFrame({"y": y, "yhat": y[::-1]}),
        series_history=history,
        series_backtest=history.rename(columns={"y": "yhat"}),
        series_future=history.rename(columns={"y": "yhat"}).assign(lo80=0.0, hi80=9.0, lo95=0.0, hi95=99.0),
        best_series=pd.DataFrame({"unique_id": names[:4], "wape": 0.1}),
        worst_series=pd.DataFrame({"unique_id": names[4:], "wape": 0.9}),
    )
    assert len(rendered(data).encode()) < 3_000_000


NUMBERS = st.one_of(
    st.none(), st.just(float("nan")), st.floats(-1e30, 1e30), st.sampled_from([0.0, 1e-12, 1e15, -1e15])
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(values=[None] * 6 + [2.1e-90, None], scale=0.0)
@given(values=st.lists(NUMBERS, min_size=8, max_size=8), scale=st.sampled_from([0.0, 1e-9, 1.0, 1e12, -1e6]))
def test_any_numbers_are_drawn(values, scale):
    table = metrics()
    table["value"] = pd.Series([values[i % len(values)] for i in range(len(table))], dtype=float)
    sample = pd.DataFrame({"y": [scale * i for i in range(9)], "yhat": [scale * (i - 3) for i in range(9)]})
    data = full_report(metrics=table, sample=sample, **timelines(scale))
    _Page(rendered(data))


def test_one_step_of_history_and_nothing_ahead_is_drawn():
    lines = {name: frame[frame["ds"] == frame["ds"].max()] for name, frame in timelines().items()}
    empty = {name: frame.iloc[:0] for name, frame in lines.items() if "future" in name or "backtest" in name}
    _Page(rendered(full_report(**lines)))
    _Page(rendered(replace(full_report(**lines), **empty)))


def test_totals_have_their_errors_and_their_forecasts():
    text = _Page(rendered(full_report())).text
    assert "Error by level" in text
    assert "By category" in text
    assert "All series" in text
    assert "(none)" in text
    assert "+10.0%" in text
    bare = bare_report(metrics=metrics().query("dimension != 'level'"))
    assert "Totals by category" not in _Page(rendered(bare)).text
