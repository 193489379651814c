"""Many HTTP clients at once: wrk, or a small one of our own where wrk is not installed."""

from __future__ import annotations

import asyncio
import functools
import itertools
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import msgspec

INSTALL = (
    "wrk is not installed (Debian, Ubuntu: apt-get install wrk). A client in Python takes its place; it needs more CPU "
    "than the server, so absolute figures are low and ratios flatter us."
)


ANEW, MANY = "&total_estimation_threshold=", 4_000
"""At the end of a search's address, with ``numbers`` up to the second: the same search, as if it never came before. The
parameter means nothing, and a worker remembers fewer query strings than that, and what they found with them.
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What many clients saw: requests per second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


class _Report(msgspec.Struct):
    requests: int
    microseconds: int
    p50: float
    p99: float
    errors: int


def run(url: str, clients: int, seconds: float, header: str = "", numbers: int = 0) -> Load:
    """Let ``clients`` ask for ``url`` over and over, each on its own connection, for so many seconds.

    ``header`` is one more header, ``Name: value``. With ``numbers``, each request has a number behind the url: 1 to
    ``numbers``, in turn. Raises :class:`RuntimeError` if any answer was not a success.
    """
    if shutil.which("wrk") is None:
        _say_how_to_install()
        return asyncio.run(_run(url, clients, seconds, header, numbers))
    script = Path(__file__).with_name("report.lua")
    duration = f"{max(1, round(seconds))}s"
    command = ["wrk", "-t1", f"-c{clients}", f"-d{duration}", "--timeout", "10s", "-s", str(script)]
    command += ["-H", header, url] if header else [url]
    command += ["--", str(numbers)] if numbers else []
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    report = msgspec.json.decode(line.removeprefix("RESULT "), type=_Report)
    if report.errors or not report.requests:
        raise RuntimeError(f"{report.errors} errors, {report.requests} answers: {url}")
    return Load(report.requests / report.microseconds * 1e6, report.p50 / 1000, report.p99 / 1000)


@functools.cache
def _say_how_to_install() -> None:
    print(INSTALL, file=sys.stderr)


async def _run(url: str, clients: int, seconds: float, header: str, numbers: int) -> Load:
    behind = itertools.cycle(map(str, range(1, numbers + 1)) if numbers else [""])
    started = perf_counter()
    found = await asyncio.gather(*(_client(url, behind, started + seconds, header) for _ in range(clients)))
    elapsed = perf_counter() - started
    latencies = [latency for latencies in found for latency in latencies]
    if len(latencies) < 2:
        raise RuntimeError(f"too few answers: {url}")
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return Load(len(latencies) / elapsed, cuts[49] * 1000, cuts[98] * 1000)


async def _client(url: str, behind: Iterator[str], end: float, header: str) -> list[float]:
    """Seconds of each request of one client, until the time ``end``; the next of ``behind`` ends the address."""
    parts = urlsplit(url)
    target = url.partition(parts.netloc)[2]
    more = f"{header}\r\n" if header else ""
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    latencies = []
    try:
        while (started := perf_counter()) < end:
            writer.write(f"GET {target}{next(behind)} HTTP/1.1\r\nHost: {parts.netloc}\r\n{more}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            if not head.startswith((b"http/1.1 200 ", b"http/1.1 304 ")) or not length:
                raise RuntimeError(f"not a success: {url}")
            await reader.readexactly(int(length))
            latencies.append(perf_counter() - started)
    finally:
        writer.close()
        await writer.wait_closed()
    return latencies
