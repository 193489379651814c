"""Logs: one line an event, text or JSON, also from libraries, and never a reason to fail."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
import structlog

from datastore.http import logs
from datastore.settings import Settings

pytestmark = pytest.mark.usefixtures("restored_logging")


def test_json(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="auto"))
    log = structlog.get_logger("x")
    log.debug("hidden")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        log.info("one", path=Path("/x"), text="two\nlines")
        logging.getLogger("library").warning("from %s", "outside", extra={"detail": 3})
        try:
            raise ValueError("why")
        except ValueError as error:
            log.error("failed", exc_info=error)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [list(line)[:2] for line in lines] == [["time", "level"]] * 3
    assert [line.pop("time")[-1] for line in lines] == ["Z"] * 3
    traceback = lines[2].pop("exception")
    assert traceback.startswith("Traceback")
    assert traceback.endswith("ValueError: why")
    assert lines == [
        {"level": "info", "request_id": "r1", "event": "one", "path": "/x", "text": "two\nlines"},
        {"level": "warning", "request_id": "r1", "event": "from outside", "detail": 3},
        {"level": "error", "request_id": "r1", "event": "failed"},
    ]


def test_text(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="text", log_level="warning"))
    structlog.get_logger("x").info("hidden")
    structlog.get_logger("x").warning("shown", path="/x")
    logging.getLogger("library").warning("outside")
    first, second = capfd.readouterr().err.splitlines()
    assert "shown" in first
    assert "path=/x" in first
    assert "outside" in second


def test_a_log_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 -- closing it fails, which shows that the line was written
    monkeypatch.setattr(sys, "stderr", full)
    logs.configure(Settings(log_format="json"))
    structlog.get_logger("x").error("lost")
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space"):
        full.close()
