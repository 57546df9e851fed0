"""Accuracy of several forecasts on the same rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

KEYS = ["unique_id", "cutoff", "ds"]


def read_table(root: Path, name: str, columns: list[str]) -> pd.DataFrame:
    """Reads a Delta table of the lake at its newest version (the list of files comes from its log)."""
    from deltalake import DeltaTable

    table = DeltaTable(str(root / name)).to_pyarrow_dataset()
    return table.to_table(columns=columns).to_pandas(date_as_object=False)


def backtest_rows(root: Path, algorithm: str) -> pd.DataFrame:
    """The scored rows of an algorithm: `unique_id`, `cutoff`, `ds`, `fold`, `y`, `yhat`, `naive_mse`."""
    columns = ["unique_id", "fold", "origin", "ds", "y", "yhat", "naive_mse"]
    rows = read_table(root, algorithm, columns)
    return rows[rows["fold"] >= 1].rename(columns={"origin": "cutoff"}).reset_index(drop=True)


def on_same_rows(own: pd.DataFrame, peer: pd.DataFrame, non_negative: bool) -> tuple[pd.DataFrame, int]:
    """Puts a peer's forecasts on this project's scored rows.

    Args:
        own: The result of `backtest_rows`.
        peer: `cutoff`, `unique_id`, `ds`, `yhat`.
        non_negative: Cut the peer's forecasts off at zero, as this project's are.

    Returns:
        The rows of `own` with the peer's `yhat`, and how many had to be left out because the peer has no forecast.
    """
    forecasts = peer[[*KEYS, "yhat"]].assign(**{key: pd.to_datetime(peer[key]) for key in ("cutoff", "ds")})
    rows = own.drop(columns="yhat").assign(**{key: pd.to_datetime(own[key]) for key in ("cutoff", "ds")})
    joined = rows.merge(forecasts, on=KEYS, how="left", validate="one_to_one")
    missing = int(joined["yhat"].isna().sum())
    joined = joined.dropna(subset=["yhat"])
    if non_negative:
        joined["yhat"] = joined["yhat"].clip(lower=0)
    return joined, missing


def accuracy(rows: pd.DataFrame) -> dict[str, float]:
    """WAPE = Σ|y − ŷ| / Σ|y|, bias = Σ(ŷ − y) / Σ|y|, RMSE, and RMSSE as the mean over series and folds.

    >>> rows = pd.DataFrame({"unique_id": "a", "fold": 1, "y": [2.0, 2.0], "yhat": [3.0, 2.0], "naive_mse": 1.0})
    >>> {name: round(value, 3) for name, value in accuracy(rows).items()}
    {'wape': 0.25, 'bias': 0.25, 'rmse': 0.707, 'rmsse': 0.707, 'rows': 2}
    """
    error = rows["yhat"] - rows["y"]
    volume = rows["y"].abs().sum()
    by_series = rows.assign(square=error**2).groupby(["unique_id", "fold"]).agg(
        mse=("square", "mean"), naive=("naive_mse", "first")
    )  # fmt: skip
    scaled = by_series[by_series["naive"] > 0]
    return {
        "wape": float(error.abs().sum() / volume),
        "bias": float(error.sum() / volume),
        "rmse": float((error**2).mean() ** 0.5),
        "rmsse": float(((scaled["mse"] / scaled["naive"]) ** 0.5).mean()),
        "rows": len(rows),
    }


def long_series(root: Path, path: Path) -> Path:
    """Writes the project's own series for the peer: `unique_id`, `ds`, `y`, sorted."""
    series = read_table(root, "sales_series", ["unique_id", "ds", "y"]).dropna(subset=["y"])
    series.sort_values(["unique_id", "ds"]).to_parquet(path, index=False)
    return path
