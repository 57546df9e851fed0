"""Requests at a fixed rate, whatever the service does; a latency counts from when its request was due."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

CONNECTIONS = 16


@dataclass
class Load:
    """Requests of one kind.

    Attributes:
        requests: Raw HTTP requests, sent by turns.
        rate: Requests per second.
    """

    requests: Sequence[bytes]
    rate: float
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, float | int | list[str]]:
        ms = 1000 * np.array(self.seconds)
        figures = {f"p{q}_ms": round(float(np.percentile(ms, q)), 2) for q in (50, 90, 99)}
        return {
            "rate": self.rate, "requests": len(ms), **figures, "max_ms": round(float(ms.max()), 2),
            "failed": len(self.failures), "failures": sorted(set(self.failures))[:5],
        }  # fmt: skip


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return f"{head}\r\n\r\n".encode() + body


async def run(port: int, loads: Sequence[Load], duration: float) -> None:
    await asyncio.gather(*(_run(port, load, duration) for load in loads))


async def _run(port: int, load: Load, duration: float) -> None:
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    workers = [asyncio.create_task(_caller(port, load, due)) for _ in range(CONNECTIONS)]
    start = time.perf_counter()
    for number in range(int(load.rate * duration)):
        moment = start + number / load.rate
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        due.put_nowait((moment, load.requests[number % len(load.requests)]))
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)


async def _caller(port: int, load: Load, due: asyncio.Queue[tuple[float, bytes] | None]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (task := await due.get()) is not None:
        moment, content = task
        try:
            writer.write(content)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            status = head.split(b" ", 2)[1].decode()
            if status != "200":
                load.failures.append(status)
        except (OSError, asyncio.IncompleteReadError) as error:
            load.failures.append(type(error).__name__)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        load.seconds.append(time.perf_counter() - moment)
    writer.close()
