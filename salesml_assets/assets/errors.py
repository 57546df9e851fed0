"""Non-retryable errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from salesml_assets.config.settings import ConfigurationError


@contextmanager
def input_errors_are_final() -> Iterator[None]:
    """Settings and sources that do not fit each other fail the step at once: it is not retried.

    Raises:
        dg.Failure: With the text of the error.
    """
    try:
        yield
    except ConfigurationError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
