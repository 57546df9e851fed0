"""A small shop for tests of everything after the accepted sales."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

START, DAYS = dt.date(2023, 1, 2), 196


def small_sales(seed: int = 3, days: int = DAYS) -> pd.DataFrame:
    """Accepted sales of eight products over 28 weeks: weekly season, closed on Sundays, one product is new."""
    random = np.random.default_rng(seed)
    rows = []
    for product in range(8):
        for day in range(days - 7 if product == 7 else 0, days):
            date = START + dt.timedelta(day)
            if date.weekday() == 6:
                continue
            level = (product + 1) * (1.5 if date.weekday() >= 4 else 1.0)
            for _ in range(random.poisson(level)):
                rows.append((date, f"p{product}", "ab"[product % 2], float(random.integers(1, 4))))
    frame = pd.DataFrame(rows, columns=["date", "product", "category", "quantity"])
    return frame.assign(unit_price=2.0, revenue=2.0 * frame["quantity"])
