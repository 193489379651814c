"""Dumps into a file of this machine: the file appears whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO


async def save(chunks: AsyncGenerator[bytes, None], output: BinaryIO) -> int:
    """Write the chunks; the number of bytes. Raises what the chunks raise, and :class:`OSError`."""
    size = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            output.write(chunk)
            size += len(chunk)
    output.flush()
    return size


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place at ``path``, with the usual rights, when the block ends well.

    What is not a plain file (a pipe, ``/dev/stdout``) is written to as it is. Raises :class:`OSError`.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield device
        return
    target = path.resolve()  # a link stays a link
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The file mode mask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
