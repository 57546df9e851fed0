"""What the checks of a lake found."""

from __future__ import annotations

from salesml_assets.checks.base import Finding


def failed(found: dict[str, Finding]) -> set[str]:
    """The checks that did not pass; each says what is wrong."""
    bad = [finding for finding in found.values() if not finding.passed]
    assert all(finding.description for finding in bad if finding.check != "schema")
    return {finding.check for finding in bad}
