from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from datastore.postgres.embedded.file_lock import FileLock

CODE = Path(__file__).resolve().parents[2]


def test_exclusive_and_shared(tmp_path: Path) -> None:
    first, second, third = (FileLock(tmp_path / "lock") for _ in range(3))
    assert first.acquire()
    assert first.acquire(), "held already"
    assert first.holder() == str(os.getpid())
    assert not second.acquire()
    assert not second.acquire(shared=True)
    assert first.acquire(shared=True)
    assert second.acquire(shared=True)
    assert not third.acquire()
    first.release()
    first.release()
    assert not third.acquire()
    second.release()
    assert third.acquire()
    third.release()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """In a process of its own: forking one that has threads is not sane."""
    script = """
        import os, pathlib, signal, sys, time
        from datastore.postgres.embedded.file_lock import FileLock
        path = pathlib.Path(sys.argv[1])
        lock = FileLock(path)
        assert lock.acquire()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"x")
            time.sleep(60)
        os.read(reader, 1)
        other = FileLock(path)
        assert not other.acquire(), "the parent still has it"
        lock.release()
        assert other.acquire()
        os.kill(child, signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "lock")]
    subprocess.run(command, check=True, timeout=30, env={**os.environ, "PYTHONPATH": str(CODE)})
