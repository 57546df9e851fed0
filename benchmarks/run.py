"""The benchmark: this project, the reference pipeline and mlforecast + LightGBM on the same input, in one go.

    .venv/bin/python -m benchmarks.run [--parts retail,generated,features]

Writes benchmarks/results/results.json and results.md.
"""

from __future__ import annotations

from benchmarks.environment import enter


def main() -> None:
    """Enters the benchmark's environment and runs it there."""
    enter()
    from benchmarks.parts import main as run

    run()


if __name__ == "__main__":
    main()
