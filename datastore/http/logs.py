"""Structured logs: one line an event, on standard error. Text on a terminal, JSON otherwise.

Our own events come through structlog, those of libraries through ``logging``; both end in the same format. Events never
carry tokens, parameters or records.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from datastore.settings import Settings

log = structlog.get_logger(__name__)
request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being answered: every event names it."""
_lowest = logging.INFO
"""What is below this level is not written."""


def configure(settings: Settings) -> None:
    """Set up logging for this process. May be called again."""
    global _lowest
    _lowest = level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _name_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if text
        else [structlog.processors.format_exc_info, _json]
    )
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_StandardError,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


def request(level: str, **event: Any) -> None:
    """The line of a request. What is written as JSON takes a short cut: structlog's chain costs three times as much."""
    processors = structlog.get_config()["processors"]
    if not processors or processors[-1] is not _json:
        getattr(log, level)("request", **event)
    elif _LEVELS[level] >= _lowest:
        line = {"time": datetime.now(UTC), "level": level, "event": "request", "request_id": request_id.get(), **event}
        _StandardError().msg(orjson.dumps(line, option=orjson.OPT_UTC_Z).decode())


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}


def _name_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if known := request_id.get():
        event.setdefault("request_id", known)
    return event


class _StandardError:
    """Writes a line in one call, so that the lines of several workers do not mix.

    A log that cannot be written (disk full, reader gone) must not stop the service, so its lines are lost.
    """

    def __init__(self, *_arguments: Any) -> None: ...

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(message + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """``time``, ``level`` and ``event`` first, the rest as it came."""
    ordered = {"time": event.pop("timestamp", None), "level": event.pop("level", None), **event}
    return orjson.dumps(ordered, default=str).decode()
