"""What to do about rows that a rule rejects, in a clause for messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from salesml_assets.quality.rules import DEFAULT_NAMES

_REMEDIES = {
    "unreadable_row": "check sales.options (sep, quote, escape)",
    "invalid_date": "give sales.columns.date an expression, such as to_date(day, 'dd.MM.yyyy')",
    "date_in_future": "check clock.today and the expression in sales.columns.date",
    "date_before_first_month": "set sales.first_month to an earlier month",
    "non_positive_price": "add non_positive_price to quality.disable where such rows are sales",
    "exact_duplicate": "where equal lines are different sales, as of a till without line numbers, set quality.disable: "
    "[exact_duplicate]; else deliver a line number with the rows",
    "not_a_product": "check quality.exclude_products",
    "return": "set sales.returns: net where returns reduce sales",
}


def remedy(rule: str) -> str:
    """What to set where a rule rejects rows that are good.

    >>> remedy("missing_store")
    'map another column in sales.columns.store, or leave store out of forecast.series'
    """
    if rule in _REMEDIES:
        return _REMEDIES[rule]
    kind, _, name = rule.partition("_")
    if rule in DEFAULT_NAMES and kind == "missing":
        return f"map another column in sales.columns.{name}, or leave {name} out of forecast.series"
    if rule in DEFAULT_NAMES and kind == "invalid":
        return f"give sales.columns.{name} an expression that makes a number of it"
    if rule in DEFAULT_NAMES and kind == "outlier":
        return "set quality.outlier_action: flag, or a higher quality.outlier_bound"
    return f"check quality.rules.{rule}"


def rejected_sentence(
    rejected: int, delivered: int, reasons: Mapping[str, int], samples: Mapping[str, Sequence[str]], limit: float
) -> str:
    """Why a run stops at too many rejected rows: the two most frequent reasons, samples, and what to set.

    Args:
        rejected: Rejected rows.
        delivered: All rows.
        reasons: Rejected rows by rule.
        samples: Some rows of each rule, as text.
        limit: `quality.error_share`.
    """
    most = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:2]
    parts = []
    for rule, rows in most:
        shown = f", such as {'; '.join(samples[rule])}" if samples.get(rule) else ""
        parts.append(f"{rows:,} by {rule}{shown}: {remedy(rule)}")
    return (
        f"{rejected / delivered:.1%} of the {delivered:,} delivered rows are rejected, and quality.error_share allows "
        f"{limit:.0%}: {'. '.join(parts)}. The rejected rows are in the table quarantined_sales; a higher "
        f"quality.error_share goes on without them"
    )


def outlier_sentence(rule: str, rows: int, share: float, target: str, limit: float, shown: str) -> str:
    """Why a run stops at outliers that carry the target: rule, rows, and what to set.

    Args:
        rule: The rule that flags them.
        rows: Flagged rows.
        share: Share of the target that they carry.
        target: The target.
        limit: `quality.outlier_share`.
        shown: The largest of them, as text.
    """
    return (
        f"{rows:,} rows flagged by {rule} carry {share:.1%} of {target}, and quality.outlier_share allows {limit:.0%}: "
        f"{shown}. Set quality.outlier_action: reject to leave them out, or quality.outlier_share: 1 if they are right"
    )
