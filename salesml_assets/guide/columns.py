"""The meaning of every column of the lake's tables."""

from __future__ import annotations

import re

from salesml_assets.names import (
    DRIFT_REPORT,
    EXPLANATIONS,
    FORECAST_ACCURACY,
    FORECASTS,
    HIERARCHY_FORECASTS,
    MODEL_COMPARISON,
    PANEL,
    PRODUCTION_MODEL,
    QUARANTINED_SALES,
    RAW_SALES,
    SALES,
)

COLUMNS = {
    "unique_id": "Name of the series: its keys joined by `/`.",
    "product": "Product code.",
    "store": "Store.",
    "category": "Category of the product.",
    "ds": "The step: a day, or the last day of a week.",
    "y": "The target: what was sold in the step; null where it is not known.",
    "yhat": "The forecast, in units of the target.",
    "quantity": "Units sold.",
    "revenue": "Money taken.",
    "unit_price": "Money per unit.",
    "rows": "Number of rows added up.",
    "closed": "Whether the business was closed; such steps are neither learned from nor scored.",
    "age": "Steps since the first sale of the series.",
    "sales_lag": "The target that many steps before; null where there was none.",
    "moving_average": "Mean of the target over that many steps, the current one included.",
    "day_of_week": "Weekday, 1 is Sunday.",
    "year_month": "Month, as 2011-12.",
    "trend": "The target less its 30-step mean.",
    "mean": "Mean of the last so many open steps with known sales.",
    "ewm": "Exponentially weighted mean with weight 0.1.",
    "ewm_slow": "Exponentially weighted mean over months.",
    "median": "Median of recent steps.",
    "largest": "Largest recent value.",
    "mean_sold": "Mean of the steps with sales.",
    "spread": "Standard deviation of recent steps.",
    "zero_share": "Share of recent steps without a sale.",
    "zero_share_long": "Share of steps without a sale, over months.",
    "since_sale": "Steps since anything was sold.",
    "naive_mse": "Mean squared one-step change so far: the scale of RMSSE.",
    "scale": "Typical level of the series, above zero; models learn multiples of it.",
    "live": "Whether the series sold anything in the level window.",
    "origin": "Last step that was known when the row's forecast is made.",
    "horizon": "Steps from the origin to the target.",
    "fold": "Number of the backtest origin, the oldest is 1; 0 is the origin on which parameters were chosen.",
    "volume_class": "A: the series with the first 80 % of sales, B: the next 15 %, C: the rest.",
    "model_version": "Version of the production model.",
    "horizon_bucket": "Range of steps ahead.",
    "wape": "Sum of absolute errors over the sum of sales.",
    "bias": "Sum of forecasts less sales, over the sum of sales; above zero: too high.",
    "volume": "Sum of sales.",
    "max_gap": "Most steps between two sales so far; null before the second one.",
    "times_sold": "Steps with a sale so far.",
    "known": "Open steps so far whose sales are known.",
    "algorithm": "Name of the algorithm.",
    "cutoff": "Last step that was learned from, or known.",
    "stock_out": "Whether the product was out of stock; what was sold then is neither learned from nor scored.",
    "order_quantity": "What to have for the step: the quantile by the costs of too few and too many (`orders`).",
    **{f"{side}{level}": f"{word} bound of the {level} % interval." for level in (80, 95)
       for side, word in (("lo", "Lower"), ("hi", "Upper"))},
}  # fmt: skip
BY_TABLE: dict[str, dict[str, str]] = {
    SALES: {
        "date": "Day of the sale.",
        "order_id": "Invoice or receipt.",
        "is_return": "Whether the row takes sales back.",
        "flags": "Rules that the row broke without being rejected.",
        "month": "Month of the sale; the table is laid out by it.",
    },
    QUARANTINED_SALES: {"_reasons": "Every rule that the row broke.", "_month": "Month of the row, or `undated`."},
    RAW_SALES: {"_month": "Month of the row, or `undated`."},
    PANEL: {
        "kind": "train: to learn from; score: of the backtest; future: to forecast.",
        "ds": "The target's step: origin + horizon.",
        "draw": "Uniform draw of the row, the same in every run.",
        "short": "Whether the series is too short for a model.",
        "ended": "Whether the series stopped selling.",
        "calendar_regression": "Forecast of the calendar regression.",
        **{
            f"calendar_{part}": f"Share of {words} in the forecast of the calendar regression, in units of the target."
            for part, words in (
                ("level", "the level"), ("weekday", "the weekday"), ("season", "the time of the year and month"),
                ("holidays", "public holidays and the turn of the year"), ("planned", "what is planned"),
                ("trend", "the trend"),
            )
        },
        "seasonal_naive": "The value at the same point of the season before, the baseline's forecast.",
        "average_short": "Mean of the last week (or month) known, as a forecast.",
        "average_medium": "Mean of the last four weeks (or two months) known, as a forecast.",
        "average_long": "Mean of the last quarter known, as a forecast.",
    },
    MODEL_COMPARISON: {
        "dimension": "total, fold, horizon, category, volume_class, or level (of totals).",
        "segment": "Value of the dimension; `all` for the total.",
        "metric": "wape, rmse, mae, r2, bias, rmsse, rows, series, coverage80, coverage95 or change (stability).",
        "value": "The metric; null where it is undefined.",
    },
    PRODUCTION_MODEL: {
        "version": "Number of the version; the newest serves.",
        "parameters": "Parameters of the algorithm, as JSON.",
        "path": "Folder of the fitted model.",
        "trained_at": "When it was trained, UTC.",
        "decision": "Why it serves: the promotion decision with its numbers, as JSON.",
        "lake_versions": "Version of each table that it was made from, as JSON.",
        "settings": "The settings in force, without secrets, as JSON.",
    },
    FORECASTS: {"model": "Algorithm, or the fallback of a series that is too short."},
    HIERARCHY_FORECASTS: {
        "level": "Keys by which series are added up, joined by `/`; `total` for the sum of all.",
        "node": "Name of the total: its keys joined by `/`.",
        "series": "Number of series in the total.",
    },
    FORECAST_ACCURACY: {
        "week": "Monday of the target's week.",
        "baseline_wape": "WAPE of the seasonal naive from the same origin.",
        "change": "Change from the forecast before it for the same step, over its size; null without one.",
    },
    DRIFT_REPORT: {
        "kind": "input, target, prediction, mix, series or error.",
        "test": "Name of the test.",
        "subject": "What was tested: a column, a product, a category.",
        "statistic": "Value of the statistic.",
        "effect": "Size of the change.",
        "min_effect": "Size from which a change matters.",
        "p_value": "Probability of such a statistic without drift, against its own history.",
        "p_adjusted": "The same, corrected for the number of tests (false discovery rate).",
        "drifted": "Whether it counts as drift: significant and large enough.",
        "detail": "The finding in words.",
        "evaluated_at": "Day of the evaluation.",
        "week": "First day of the week that was judged.",
        "learned_until": "First day of the last week that the model learned from.",
    },
    EXPLANATIONS: {
        "subject": "An algorithm (its model of the latest backtest origin), or `production`.",
        "kind": "contribution, permutation, effect, dependence, local or surrogate.",
        "reason": "Why the series was chosen.",
        "ds": "The step that is explained.",
        "group": "Group of features in a planner's words.",
        "feature": "Column of the panel; null for a whole group.",
        "label": "The feature in words.",
        "at": "Value of the feature, or order of the values.",
        "at_label": "The value in words.",
        "amount": "In units of the target: contribution, growth of the error, or mean prediction.",
        "share": "The amount as a share; R² in rows of a surrogate.",
        "low": "10th percentile, or smallest of several.",
        "high": "90th percentile, or largest of several; the forecast in rows of the base.",
    },
}  # fmt: skip
_NUMBERED = re.compile(r"_\d+$")


def column_description(table: str, column: str) -> str | None:
    """The meaning of a column; None of one that the source or the settings name.

    >>> column_description("features", "sales_lag_7"), column_description("panel", "f_mean_28")
    ('The target that many steps before; null where there was none.', 'Mean of the last 28 days')
    """
    known = BY_TABLE.get(table, {})
    if column in known:
        return known[column]
    if table in (RAW_SALES, QUARANTINED_SALES):
        return "As delivered."
    if column in COLUMNS:
        return COLUMNS[column]
    if column.startswith(("f_", "c_")):
        from salesml_assets.forecasting.feature_words import label_of
        from salesml_assets.forecasting.features import FeatureSpec

        specs = FeatureSpec(), FeatureSpec(weekly=True, windows=(2, 4, 8, 13))
        labels = [label_of(column, spec) for spec in specs]
        # What no definition knows comes back as its bare name: a covariate of the settings.
        own = column.removeprefix("f_").removeprefix("c_").replace("_", " ")
        found = next((label for label in labels if label.lower() not in (own, column.replace("_", " "))), None)
        return found or f"Known in advance: {own}."
    return COLUMNS.get(_NUMBERED.sub("", column))
