"""``datastore dump``, run as the program that it is, on a real embedded server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datastore.accounts.actor import Actor
from datastore.actions.registry import Call, run
from datastore.bootstrap import Server, opened, prepare
from datastore.exports.local import whole_file
from datastore.postgres.embedded import EmbeddedPostgres
from datastore.settings import Settings
from tests.processes import environment, make_folder, run_command

RESOURCE = "0b6f7c2d-9a51-4a6e-8d0b-1c2f4e7a9b30"
ROWS = 5000


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data folder whose server runs, with a private table ``numbers``."""
    folder = make_folder()
    settings = Settings(data_dir=folder / "store", database_url=None)
    with EmbeddedPostgres(settings) as postgres:
        asyncio.run(_fill(Server(postgres.start(), postgres.version, postgres), settings))
        yield folder / "store"
    shutil.rmtree(folder)


async def _fill(server: Server, settings: Settings) -> None:
    await prepare(server, settings)
    async with opened(server, settings) as services:
        call = Call(services, Actor(name="default", sysadmin=True), "http://test")
        organization = await run("organization_create", call, {"name": "owners"})
        dataset = {"name": "d-numbers", "owner_org": organization["id"], "private": True}
        created = await run("package_create", call, dataset)
        data = {
            "resource": {"package_id": created["id"], "id": RESOURCE},
            "aliases": "numbers",
            "records": [{"n": number, "t": "é" * 20} for number in range(ROWS)],
        }
        await run("datastore_create", call, data)


def dumped(data_dir: Path, *arguments: str) -> str:
    """The standard output of a dump that succeeds."""
    done = run_command("dump", *arguments, DATASTORE_DATA_DIR=data_dir)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_to_standard_output(data_dir: Path) -> None:
    lines = dumped(data_dir, RESOURCE).splitlines()
    assert len(lines) == ROWS + 1
    assert lines[1] == f"1,0,{'é' * 20}"
    [line] = dumped(data_dir, "numbers", "--format", "ndjson", "--limit", "1", "--offset", "7").splitlines()
    assert json.loads(line) == {"_id": 8, "n": 7, "t": "é" * 20}
    assert dumped(data_dir, "numbers", "--limit", "0", "--bom") == "\ufeff_id,n,t\n"


def test_to_a_file_by_its_extension(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    path.write_text("before")
    path.chmod(0o640)
    assert dumped(data_dir, "numbers", str(path)) == ""
    assert pq.read_table(io.BytesIO(path.read_bytes())).column("n").to_pylist() == list(range(ROWS))
    assert path.stat().st_mode & 0o777 == 0o640
    assert dumped(data_dir, "numbers", str(tmp_path / "plain"), "--format", "tsv", "--limit", "1") == ""
    assert (tmp_path / "plain").read_text().startswith("_id\tn\tt\n1\t0\t")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["numbers.parquet", "plain"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "x.csv"], "There is no table nothing."),
        (["numbers", "x.csv", "--format", "pdf"], "There is no format pdf"),
        (["numbers", "x.geojson"], "geojson needs"),
        (["numbers", "x.parquet", "--bom"], "bom: parquet is not text"),
        (["numbers", "no/such/folder/x.csv"], "FileNotFoundError"),
    ],
)
def test_refusals_leave_no_file(data_dir: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    name, *rest = arguments[1:]
    done = run_command("dump", arguments[0], str(tmp_path / name), *rest, DATASTORE_DATA_DIR=data_dir)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_enough(data_dir: Path) -> None:
    command = [sys.executable, "-m", "datastore.cli", "dump", "numbers", "--format", "xml"]
    variables = environment(DATASTORE_DATA_DIR=data_dir)
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(60)


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with contextlib.suppress(ValueError), whole_file(path) as file:
        file.write(b"half")
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"old")
    (tmp_path / "link").symlink_to(path)
    with whole_file(tmp_path / "link") as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()
