"""Metrics of several worker processes, added up in one exposition."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WORKER = """
import os, sys
from datastore.http import metrics
metrics.start()
metrics.begin(); metrics.begin(); metrics.end("site_read", 200, 0.02)
if sys.argv[1] == "graceful":
    metrics.stop()
elif sys.argv[1] == "show":
    print(metrics.exposition().decode())
sys.stdout.flush()
os._exit(0)
"""


def worker(folder: Path, how: str) -> str:
    """Run a worker that answers one of two requests and then ends: killed, gracefully, or asked for its metrics."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", WORKER, how], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_counters_add_up_and_dead_workers_leave_no_gauges(tmp_path: Path) -> None:
    worker(tmp_path, "killed")
    worker(tmp_path, "graceful")
    samples = [line for line in worker(tmp_path, "show").splitlines() if line and not line.startswith("#")]
    shown = dict(line.rsplit(" ", 1) for line in samples)
    assert shown['datastore_requests_total{action="site_read",status="200"}'] == "3.0"
    assert shown['datastore_request_duration_seconds_bucket{action="site_read",le="0.025"}'] == "3.0"
    assert shown["datastore_requests_in_flight"] == "1.0"
    assert float(shown["datastore_start_time_seconds"]) > 1_700_000_000
