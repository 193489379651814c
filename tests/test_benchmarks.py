"""The benchmarks' own machinery, and one tiny run of all of them against the real service."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks import clients, dump, growth, harness, report, slice
from benchmarks.chart import Chart
from benchmarks.harness import Measurement, Spread, against_floor, at_most, interleave
from benchmarks.run import Run
from benchmarks.service import Service

# --- the harness ------------------------------------------------------------------------------------------------------


def test_interleave_alternates_and_forgets_the_warm_up() -> None:
    calls: list[str] = []
    counter = itertools.count()

    def way(name: str) -> int:
        calls.append(name)
        return next(counter)

    pairs = interleave(lambda: way("ours"), lambda: way("floor"), pairs=3, warm_up=2)
    assert calls == ["ours", "floor"] * 5
    assert pairs == [(4, 5), (6, 7), (8, 9)]


def test_spread() -> None:
    assert Spread.of([3.0, 1.0, 10.0, 2.0]) == Spread(2.5, 1.0, 10.0)
    with pytest.raises(ValueError, match="nothing"):
        Spread.of([])


def test_ratio_is_taken_pair_by_pair() -> None:
    # The machine got slower in the middle: the medians' ratio would be 1, that of each pair is 0.5.
    found = against_floor("p", "rows/s", [(100.0, 200.0), (50.0, 100.0), (10.0, 20.0)], goal=0.5)
    assert found.ratio == Spread(0.5, 0.5, 0.5)
    assert found.met is True


def test_ratio_of_times_is_turned_round() -> None:
    found = against_floor("p", "ms", [(4.0, 2.0), (8.0, 2.0), (2.0, 2.0)], goal=0.6, less_is_better=True)
    assert found.ratio == Spread(0.5, 0.25, 1.0)
    assert found.met is False


def test_limit_without_a_floor() -> None:
    assert at_most("p", "ms", [100.0, 300.0, 150.0], 200).met is True
    assert at_most("p", "ms", [100.0, 300.0, 250.0], 200).met is False
    assert Measurement("p", "ms", Spread(1, 1, 1)).met is None


def _some() -> list[Measurement]:
    return [
        against_floor("load", "rows/s", [(123456.7, 200000.0)], goal=0.9),
        at_most("first byte", "ms", [12.3456], 200),
        Measurement("memory", "MiB", Spread(98.76, 98, 99)),
    ]


def test_results_file(tmp_path: Path) -> None:
    path = tmp_path / "results" / "latest.json"
    harness.save(_some(), path)
    assert json.loads(path.read_text()) == [
        {
            "path": "load",
            "ours": 123500.0,
            "floor": 200000.0,
            "unit": "rows/s",
            "ratio": 0.617,
            "goal": 0.9,
            "met": False,
        },
        {"path": "first byte", "ours": 12.35, "floor": None, "unit": "ms", "ratio": None, "goal": 200, "met": True},
        {"path": "memory", "ours": 98.76, "floor": None, "unit": "MiB", "ratio": None, "goal": None, "met": None},
    ]
    assert len(path.read_text().splitlines()) == 3 + 2  # one line each, for diffs


def test_table() -> None:
    output = io.StringIO()
    harness.show(_some(), Console(file=output, width=160))
    rows = {line.split("│")[1].strip(): line for line in output.getvalue().splitlines() if line.startswith("│")}
    assert "123,457 (123,457 – 123,457)" in rows["load"]
    assert "≥ 0.9" in rows["load"]
    assert " no " in rows["load"]
    assert "≤ 200" in rows["first byte"]
    assert " yes " in rows["first byte"]
    assert " yes " not in rows["memory"]


def test_tracked_results_have_the_format() -> None:
    path = report.RESULTS / "latest.json"
    rows = json.loads(path.read_text())
    assert rows
    for row in rows:
        assert list(row) == ["path", "ours", "floor", "unit", "ratio", "goal", "met"]
    machine = json.loads((report.RESULTS / "machine.json").read_text())
    assert {"date", "cpu", "cores", "postgresql", "workers"} <= machine.keys()


def test_the_page_is_written_from_the_results(tmp_path: Path) -> None:
    harness.save(_some(), tmp_path / "latest.json")
    (tmp_path / "machine.json").write_bytes((report.RESULTS / "machine.json").read_bytes())
    page = tmp_path / "page.md"
    page.write_text("by hand\n<!-- results -->\nold\n<!-- end of results -->\nalso by hand\n")
    for _ in range(2):
        report.write(tmp_path, page)
    text = page.read_text()
    assert text.startswith("by hand\n<!-- results -->\n")
    assert text.endswith("\n<!-- end of results -->\nalso by hand\n")
    assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "| load | 123,500 | 200,000 | rows/s | 0.62 | ≥ 0.9 | **no** |",
        "| first byte | 12.3 |  | ms |  | ≤ 200 | yes |",
        "| memory | 98.8 |  | MiB |  |  |  |",
    ]


def test_charts_are_put_into_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("by hand\n<!-- growth -->\nold\n<!-- end of growth -->\nalso by hand\n")
    chart = Chart("Rows", "rows", (10, 100))
    for _ in chart.sizes:
        chart.add("page", 1.0)
    growth.write({"rows": chart}, json.loads((report.RESULTS / "machine.json").read_text()), tmp_path / "r", page)
    before, places, after = page.read_text().partition("\n\n![Rows](growth-rows.svg)\n")
    assert before.startswith("by hand\n<!-- growth -->\n20")
    assert places
    assert after == "<!-- end of growth -->\nalso by hand\n"
    assert (tmp_path / "growth-rows.svg").read_text() == chart.svg()
    assert json.loads((tmp_path / "r/growth.json").read_text())["rows"]["milliseconds"] == {"page": [1.0, 1.0]}
    with pytest.raises(ValueError, match="no place for results"):
        report.place("results", "", page)


def test_chart() -> None:
    chart = Chart("Rows & more", "rows", (10, 1000))
    for value in (0.5, 50.0):
        chart.add("page", value)
        chart.add("flat", 2.0)
    root = ElementTree.fromstring(chart.svg())  # noqa: S314 -- our own
    lines = [line.attrib["points"].split() for line in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points) for points in lines] == [2, 2]
    heights = [[float(point.split(",")[1]) for point in points] for points in lines]
    assert heights[0][0] > heights[0][1]
    assert heights[1][0] == heights[1][1]
    assert "Rows & more" in chart.text()


# --- the real thing, small --------------------------------------------------------------------------------------------


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "loaf"])
    with pytest.raises(SystemExit):
        command.main()
    assert (
        "there is no benchmark 'loaf'; there are: load, load_file, load_cost, slice, pages, dump, "
        in capsys.readouterr().err
    )


def test_smoke(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every benchmark runs to its end, with the client in Python too, and checks what it measures."""
    monkeypatch.setattr("benchmarks.clients.shutil.which", lambda _name: None)
    monkeypatch.setattr("benchmarks.slice.CLIENTS", (2,))
    monkeypatch.setattr("benchmarks.slice.LIMITS", (20,))
    monkeypatch.setattr(growth, "REPEATS", 2)
    monkeypatch.setattr(growth, "ASKED", 3)
    monkeypatch.setattr(growth, "SETTLES", 0)
    monkeypatch.setattr("benchmarks.slice.WORKERS", (1,))
    with Service(workers=1) as service:
        run = Run(service, pairs=1, seconds=0.3, scale=0.0005)
        found = {name: command.benchmark(name)(run) for name in command.NAMES}
        with pytest.raises(RuntimeError, match="404"):
            dump.download(service.server.port, "/datastore/dump/nothing")
        with pytest.raises(RuntimeError, match="not a success"):
            clients.run(f"http://127.0.0.1:{service.server.port}/nothing", 1, 0.2)
        with pytest.raises(RuntimeError, match="nonsense"):
            service.psql("nonsense")
        with pytest.raises(RuntimeError, match="no X-Nothing"):
            slice.header(service.server.port, "/livez", "X-Nothing")
        grown = [
            growth.by_rows(service, (20, 300)),
            growth.by_columns(service, (3,)),
            growth.by_tables(service, (1, 2)),
        ]
        folder = service.folder
        process = service.server.processes()[0]
    assert not folder.exists()
    for chart in grown:
        assert all(len(values) == len(chart.sizes) for values in chart.series.values())
        assert all(value > 0 for values in chart.series.values() for value in values)
    assert not process.is_running()
    assert {name: len(found[name]) for name in ("load", "slice", "pages", "dump", "gate", "catalog")} == {
        "load": 4,
        "slice": 7,
        "pages": 12,
        "dump": 34,
        "gate": 13,
        "catalog": 5,
    }
    for measured in itertools.chain.from_iterable(found.values()):
        assert measured.ours.median >= 0
        assert measured.ratio is None or measured.ratio.median > 0
