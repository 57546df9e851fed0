"""The retry policy of steps: retried after errors, never after an interrupt."""

import sys

import dagster as dg

INTERRUPTS = (KeyboardInterrupt, dg.DagsterExecutionInterruptedError)


class RetryAfterErrors(dg.RetryPolicy):
    """A retry policy that lets an interrupt end the step.

    Dagster requests another attempt after an interrupt, too: a run that was terminated, by its user or for taking too
    long, would count as ended while its process waits and then repeats the step, at the same time as the next run.
    Dagster asks for the delay while it handles the interrupt, so the interrupt is raised again from here.
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
