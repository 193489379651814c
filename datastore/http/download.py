"""Files that are made while they are sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


def download_headers(name: str, content_type: str) -> dict[str, str]:
    """The headers of such a file. No part of it can be asked for: it is made anew each time (RFC 9110, 14.3)."""
    return {
        "Content-Type": content_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        "Accept-Ranges": "none",
    }


class Download(StreamingResponse):
    """A response whose chunks stop being made as soon as nobody takes them, and which breaks off after an error."""

    def __init__(self, name: str, content_type: str, chunks: AsyncGenerator[bytes, None]) -> None:
        super().__init__(chunks, headers=download_headers(name, content_type))
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "HEAD":
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await send({"type": "http.response.body", "body": b""})
            else:
                await super().__call__(scope, receive, send)
        finally:
            await self._chunks.aclose()
