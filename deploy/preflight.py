"""Refuses to start the stack with missing, short or placeholder secrets; a demo on loopback may use placeholders."""

import os
import sys

PLACEHOLDER, MIN_LENGTH = "change-me", 12
SECRETS = (
    "S3_PASSWORD", "SPARK_SECRET", "POSTGRES_PASSWORD", "DAGSTER_POSTGRES_PASSWORD", "MLFLOW_POSTGRES_PASSWORD",
    "API_KEY", "GRAFANA_PASSWORD",
)  # fmt: skip


def problems(environment: dict[str, str]) -> list[str]:
    """What is wrong with the secrets; empty if the stack may start."""
    values = {name: environment.get(name, "") for name in SECRETS}
    demo = environment.get("DEMO", "").lower() == "true"
    found = [f"{name} is empty" for name, value in values.items() if not value]
    for name, value in values.items():
        if value.startswith(PLACEHOLDER) and not demo:
            found.append(f"{name} is the placeholder of .env.example: set it in .env, or mark a demo with DEMO=true")
        elif value and len(value) < MIN_LENGTH:
            found.append(f"{name} has fewer than {MIN_LENGTH} characters")
        elif not set(value) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."):
            # The values go into addresses (postgresql://user:password@host) and files.
            found.append(f"{name} may have letters, digits, '-', '_' and '.' only")
    return found


if __name__ == "__main__":
    found = problems(dict(os.environ))
    for line in found:
        print(f"preflight: {line}", file=sys.stderr)
    sys.exit(1 if found else 0)
