"""The exceptions that a client may see, each with its HTTP status and the ``__type`` of the Action API's envelope.

Raise these anywhere; ``http/envelope.py`` turns them into responses. Database errors become these in one place,
``postgres/translate.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ErrorDict = Mapping[str, Any]


class DataStoreError(Exception):
    """Base of every error that is answered with the failure envelope."""

    status = 500
    type = "Internal Server Error"

    def body(self) -> dict[str, Any]:
        """The ``error`` object of the envelope."""
        return {"__type": self.type, "message": str(self) or self.type}


class ValidationError(DataStoreError):
    """A parameter has a bad value: 409, one key per bad field, each with a list of messages.

    ``fields`` maps a field name to its messages (nested lists of objects for ``fields``, ``resources``, …). Keys such
    as ``info``, ``records_row`` and ``message`` may stand beside them.
    """

    status = 409
    type = "Validation Error"

    def __init__(self, fields: ErrorDict) -> None:
        super().__init__(repr(dict(fields)))
        self.fields = dict(fields)

    def body(self) -> dict[str, Any]:
        return {**self.fields, "__type": self.type}


class StructureError(DataStoreError):
    """Structurally wrong input where a list of objects is required: 400 ``Integrity Error``, echoing the request."""

    status = 400
    type = "Integrity Error"

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.data = data

    def body(self) -> dict[str, Any]:
        return {"__type": self.type, "message": str(self), "data": self.data}


class NotFound(DataStoreError):
    """Unknown object: 404, ``Not found`` or ``Not found: <detail>``."""

    status = 404
    type = "Not Found Error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"Not found: {detail}" if detail else "Not found")
        self.detail = detail


class NotAuthorized(DataStoreError):
    """Not allowed: 403 (never 401), ``Access denied`` or ``Access denied: <reason>``."""

    status = 403
    type = "Authorization Error"

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"Access denied: {reason}" if reason else "Access denied")
        self.reason = reason


class SearchQueryError(DataStoreError):
    """A bad parameter of a catalog search: 400 ``Search Query Error``."""

    status = 400
    type = "Search Query Error"


class SearchError(DataStoreError):
    """A catalog query that cannot be understood: 409 ``Search Error``."""

    status = 409
    type = "Search Error"


class Unavailable(DataStoreError):
    """The database cannot be reached, or is too busy, for a moment: 503, and the client may try again."""

    status = 503
    type = "Service Unavailable"


class BadRequest(Exception):
    """The request cannot be decoded: HTTP 400 whose body is a bare JSON string, ``Bad request: <detail>``."""

    status = 400

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class PayloadTooLarge(BadRequest):
    """The body is larger than the server accepts: HTTP 413, body as :class:`BadRequest`."""

    status = 413
