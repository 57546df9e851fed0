"""`python -m benchmarks.ab_test`: false alarms and power of the A/B test; writes benchmarks/results/ab_test.json."""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from benchmarks.ab_test.errors import Errors, losses, weekly_losses
from salesml_assets.forecasting.sequential import Verdict, compare, confidence_sequence

RESULTS = Path(__file__).parents[1] / "results" / "ab_test.json"
ALPHA, MARGIN = 0.05, 0.02
YEAR, LIMIT, WEEKS = 365, 60, 156
FIRST_LOOK = 28  # of the t-test, too
LEARNER_AGAINST_NAIVE = Errors(day=0.34, single=1.5, weekday=0.13)
EQUAL = {
    "like the shipped sales": Errors(),
    "days correlated 0.5": Errors(correlation=0.5),
    "heavier tails (t with 2.2)": Errors(tails=2.2),
    "seasonal naive against a learner": LEARNER_AGAINST_NAIVE,
    "gain that drifts for weeks (sd 0.02)": Errors(drift=0.02),
}
BETTER = {
    "5 %": Errors(gain=0.05),
    "3 %": Errors(gain=0.03),
    "5 %, days correlated 0.5": Errors(gain=0.05, correlation=0.5),
    "5 %, 30 series": Errors(gain=0.05, series=30),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ab_test", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=2025, help="no procedure was chosen on this one")
    parser.add_argument("--workers", type=int, default=1, help="processes; they do not change the results")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    figures: dict[str, Any] = {"alpha": ALPHA, "margin": MARGIN, "equal": {}, "better": {}, "equal weekly": {}}
    figures |= {"seed": options.seed, "repetitions": options.repetitions}
    seeds = [(options.seed, number) for number in range(options.repetitions)]
    with ProcessPoolExecutor(options.workers) as pool:
        for kind, scenarios in (("equal", EQUAL), ("better", BETTER)):
            for name, errors in scenarios.items():
                rows = pl.DataFrame(
                    list(pool.map(partial(repetition, errors), seeds, chunksize=25)), infer_schema_length=None
                )
                figures[kind][name] = {"parameters": asdict(errors)} | summary(rows)
                print(kind, name, json.dumps(figures[kind][name]), flush=True)
        for correlation in (0.0, 0.3, 0.6):
            called = list(pool.map(partial(weekly_winner, correlation), seeds, chunksize=25))
            figures["equal weekly"][str(correlation)] = float(np.mean(called))
    figures["milliseconds for a year"] = milliseconds()
    options.results.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def repetition(errors: Errors, seed: tuple[int, int]) -> dict[str, Any]:
    """One test of a year, looked at on every day: what was called, when, and what daily t-tests would have called."""
    table = losses(errors, YEAR, np.random.default_rng(seed))
    looks = confidence_sequence(table, ALPHA)
    truth = (table["true"].cum_sum() / table["volume"].cum_sum()).to_numpy()
    won = looks["low"].to_numpy() > 0, looks["high"].to_numpy() < 0
    called = [(int(np.argmax(winner)), sign) for winner, sign in zip(won, (1, -1), strict=True) if winner.any()]
    winners = [looks.filter(winner)["steps"] for winner in (pl.col("low") > 0, pl.col("high") < 0)]
    judged = compare(table, ALPHA, MARGIN)
    month = compare(table.filter(pl.col("ds") <= looks["ds"].filter(looks["steps"] <= FIRST_LOOK)[-1]), ALPHA, MARGIN)
    tested = daily_t_tests(table)
    steps = looks["steps"].to_numpy()
    early = steps >= FIRST_LOOK
    gains = (table["champion"] - table["challenger"]).to_numpy() / table["champion"].mean()
    return {
        "challenger_after": winners[0].first(),
        "champion_after": winners[1].first(),
        "verdict": judged.verdict.value,
        "decided_after": looks["steps"].filter(looks["ds"] == judged.decided_on).first() if judged.decided_on else None,
        "expected_after": FIRST_LOOK + month.more_days if month.more_days is not None else None,
        # Against the mean of the true gains up to the day on which the winner was called.
        "wrong_winner": any(sign * truth[day] <= 0 for day, sign in called),
        "t_calls": bool((tested[early] < ALPHA).any()),
        "t_calls_by_limit": bool((tested[early & (steps <= LIMIT)] < ALPHA).any()),
        "t_calls_at_end": bool(tested[-1] < ALPHA),
        "half_width_at_limit": looks.filter(pl.col("steps") <= LIMIT).select(
            (pl.col("high") - pl.col("low")) / 2 / pl.col("wape")
        )[-1, 0],
        "deviation": gains.std(),
        "kurtosis": stats.kurtosis(gains),
        "correlation": np.corrcoef(gains[1:], gains[:-1])[0, 1],
    }


def weekly_winner(correlation: float, seed: tuple[int, int]) -> bool:
    """Whether three years of weekly looks at two equal models call a winner."""
    looks = confidence_sequence(weekly_losses(correlation, WEEKS, np.random.default_rng(seed)), ALPHA, step_days=7)
    return bool((looks["low"] > 0).any() or (looks["high"] < 0).any())


def daily_t_tests(table: pl.DataFrame) -> np.ndarray:
    """Two-sided p-values of the paired t-test on the days so far, after each day."""
    gains = (table["champion"] - table["challenger"]).to_numpy()
    days = np.arange(1, len(gains) + 1)
    mean = np.cumsum(gains) / days
    squares = np.cumsum(gains**2) - days * mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * stats.t.sf(np.abs(mean) / np.sqrt(squares / (days - 1) / days), days - 1)


def summary(rows: pl.DataFrame) -> dict[str, Any]:
    challenger, champion = pl.col("challenger_after"), pl.col("champion_after")
    shares = rows.select(
        winner_called=(challenger.is_not_null() | champion.is_not_null()).mean(),
        challenger_called=challenger.is_not_null().mean(),
        champion_called=champion.is_not_null().mean(),
        challenger_called_by_limit=(challenger <= LIMIT).fill_null(False).mean(),
        wrong_winner_called=pl.col("wrong_winner").mean(),
        t_test_calls=pl.col("t_calls").mean(),
        t_test_calls_by_limit=pl.col("t_calls_by_limit").mean(),
        t_test_calls_once_at_end=pl.col("t_calls_at_end").mean(),
        median_days=pl.col("decided_after").median(),
        median_days_expected_after_28=pl.col("expected_after").median(),
        half_width_at_limit=pl.col("half_width_at_limit").median(),
        deviation=pl.col("deviation").mean(),
        kurtosis=pl.col("kurtosis").median(),
        correlation=pl.col("correlation").mean(),
    ).row(0, named=True)
    verdicts = {verdict.value: (rows["verdict"] == verdict.value).mean() for verdict in Verdict}
    return {name: None if value is None else round(value, 4) for name, value in (shares | verdicts).items()}


def milliseconds() -> float:
    """Median time of judging one year."""
    table = losses(Errors(), YEAR, np.random.default_rng(1))
    times = []
    for _ in range(50):
        started = time.perf_counter()
        compare(table)
        times.append(time.perf_counter() - started)
    return round(1_000 * float(np.median(times)), 2)


if __name__ == "__main__":
    main()
