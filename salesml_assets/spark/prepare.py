"""`python -m salesml_assets.spark.prepare`: what Spark needs on this machine, once, at set-up."""

from __future__ import annotations

import sys

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.spark.jars import fetch_jars, locked_jars
from salesml_assets.spark.java import find_java, use_java
from salesml_assets.spark.session import CLASS_ARCHIVE, JARS, STATE
from salesml_assets.spark.warmup import warm_up


def prepare() -> None:
    """Fetches Spark's jars, and starts it for a first time; nothing where both were done before.

    Raises:
        ConfigurationError: There is no Java, no network, or Spark does not work here.
    """
    print(f"Java: {find_java()}", flush=True)
    home = use_java(STATE / "java")
    fetched = fetch_jars(JARS, home / "bin" / "java")
    print(f"Spark's jars: {len(locked_jars())}, fetched {len(fetched)}", flush=True)
    if fetched or not (home / CLASS_ARCHIVE).is_file():
        print("Spark's first start, which makes the later ones faster", flush=True)
        warm_up(home)


def main() -> int:
    """Runs the preparation; the exit code is 1 after an error."""
    try:
        prepare()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
