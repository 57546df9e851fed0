"""Steps are tried again after errors, and never after an interrupt."""

import sys

import dagster as dg

INTERRUPTS = (KeyboardInterrupt, dg.DagsterExecutionInterruptedError)


class RetryAfterErrors(dg.RetryPolicy):
    """A retry policy that lets an interrupt end the step.

    Dagster asks for another attempt after an interrupt, too: a run that was ended by its user, or for taking too long,
    would count as ended while its process waits and then does the step again, beside the next run. The delay is asked
    for while the interrupt is handled, so it is raised again from there.
    """

    def calculate_delay(self, attempt_num: int) -> float:
        """Seconds until the next attempt.

        Raises:
            BaseException: The interrupt that is being handled.
        """
        cause = sys.exc_info()[1]
        if isinstance(cause, INTERRUPTS):
            raise cause
        return super().calculate_delay(attempt_num)
