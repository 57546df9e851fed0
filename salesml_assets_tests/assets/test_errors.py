"""Non-retryable errors, in a real run with a retry policy."""

from __future__ import annotations

import dagster as dg
import pytest

from salesml_assets.assets.errors import input_errors_are_final
from salesml_assets.config.settings import ConfigurationError


@pytest.mark.parametrize(("error", "attempts"), [(ConfigurationError, 1), (ConnectionError, 3)])
def test_bad_input_is_not_tried_again_and_everything_else_is(error: type[Exception], attempts: int) -> None:
    tried = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
    def reads() -> None:
        tried.append(1)
        with input_errors_are_final():
            raise error("sales.path: nothing is there")

    result = dg.materialize([reads], raise_on_error=False)
    assert not result.success
    assert len(tried) == attempts
    failure = result.failure_data_for_node("reads")
    assert failure is not None
    assert "sales.path: nothing is there" in failure.error.to_string()
