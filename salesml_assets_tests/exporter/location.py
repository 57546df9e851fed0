"""A code location for the tests of whether one loads."""

import dagster as dg

defs = dg.Definitions()
