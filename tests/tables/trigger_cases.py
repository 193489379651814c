"""What each function of the trigger library makes of records, and which ones it refuses."""

from __future__ import annotations

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A function with arguments, on a table of these columns: what it makes of records, and what it refuses."""

    function: str
    arguments: list[Any]
    columns: dict[str, str]
    good: list[tuple[dict[str, Any], dict[str, Any]]]
    bad: list[tuple[dict[str, Any], str]] = []  # noqa: RUF012 -- a tuple's default, never changed


LONG = "FMDD Month YYYY, HH24:MI"
TEXTS = {"a": "text", "b": "text"}
PLACE = {"lat": "float8", "lon": "float8"}
CASES = [
    Case(
        "trim_text",
        ["a"],
        TEXTS,
        [
            ({"a": "\u00a0 x  y\u3000\n", "b": " z "}, {"a": "x  y", "b": " z "}),
            ({"a": "e\u0301", "b": "e\u0301"}, {"a": "\u00e9", "b": "e\u0301"}),
            ({"a": " \t", "b": None}, {"a": "", "b": None}),
            ({"a": None, "b": ""}, {"a": None, "b": ""}),
        ],
    ),
    Case(
        "trim_text",
        [],
        {**TEXTS, "n": "numeric", "t": "timestamp", "j": "jsonb", "l": "text[]"},
        [
            (
                {"a": " x ", "b": "y\ufeff", "n": 1.50, "t": "2020-01-02T03:04:05.006", "j": {"k": " v "}, "l": [" "]},
                {"a": "x", "b": "y", "n": 1.5, "t": "2020-01-02T03:04:05.006", "j": {"k": " v "}, "l": [" "]},
            ),
        ],
    ),
    Case("trim_text", ["no"], TEXTS, [], [({"a": "x"}, 'trim_text: there is no column "no"')]),
    Case(
        "normalise_text",
        ["a", "b"],
        TEXTS,
        [
            ({"a": " x \u2003\n y ", "b": "A\u030a  b"}, {"a": "x y", "b": "\u00c5 b"}),
            ({"a": "", "b": None}, {"a": "", "b": None}),
        ],
        [],
    ),
    Case("normalise_text", ["no"], TEXTS, [], [({"a": "x"}, 'normalise_text: there is no column "no"')]),
    Case(
        "empty_to_null",
        [],
        {**TEXTS, "n": "int"},
        [
            ({"a": "", "b": "\u00a0\n", "n": 0}, {"a": None, "b": None, "n": 0}),
            ({"a": " x", "b": None, "n": None}, {"a": " x", "b": None, "n": None}),
        ],
    ),
    Case("empty_to_null", ["a"], TEXTS, [({"a": "", "b": ""}, {"a": None, "b": ""})]),
    Case("empty_to_null", ["no"], TEXTS, [], [({"a": "x"}, 'empty_to_null: there is no column "no"')]),
    Case(
        "check_required",
        ["a", "n"],
        {**TEXTS, "n": "int"},
        [({"a": "x", "b": None, "n": 0}, {"a": "x", "b": None, "n": 0})],
        [
            ({"a": None, "n": 1}, "a is required"),
            ({"a": " \n", "n": 1}, "a is required"),
            ({"a": "x", "n": None}, "n is required"),
        ],
    ),
    Case("check_required", [], TEXTS, [], [({"a": "x"}, "check_required: its arguments are columns")]),
    Case("check_required", ["no"], TEXTS, [], [({"a": "x"}, 'check_required: there is no column "no"')]),
    Case(
        "check_codes",
        ["a", "CA", "NY", "it's", ""],
        TEXTS,
        [({"a": code, "b": "x"}, {"a": code, "b": "x"}) for code in ("CA", "NY", "it's", "", None)],
        [
            ({"a": "ca", "b": None}, 'a: "ca" is not one of CA, NY, it\'s, '),
            ({"a": "CA ", "b": None}, 'a: "CA " is not one of CA, NY, it\'s, '),
        ],
    ),
    Case("check_codes", ["n", 1, 2], {"n": "int"}, [({"n": 2}, {"n": 2})], [({"n": 3}, 'n: "3" is not one of 1, 2')]),
    Case(
        "check_codes",
        ["a", *range(50)],
        TEXTS,
        [],
        [({"a": "x" * 200}, f'a: "{"x" * 100}" is not one of the 50 codes')],
    ),
    Case("check_codes", ["a"], TEXTS, [], [({"a": "x"}, "check_codes: its arguments are a column and the codes")]),
    Case("check_codes", ["no", "x"], TEXTS, [], [({"a": "x"}, 'check_codes: there is no column "no"')]),
    Case(
        "check_pattern",
        ["a", "[0-9]{5}|x"],
        TEXTS,
        [({"a": text, "b": ""}, {"a": text, "b": ""}) for text in ("12345", "x", None)],
        [
            ({"a": "123456", "b": ""}, 'a: "123456" is not like [0-9]{5}|x'),
            ({"a": "xx", "b": ""}, 'a: "xx" is not like [0-9]{5}|x'),
        ],
    ),
    Case(
        "check_pattern",
        ["n", "1.", "ten or so"],
        {"n": "int"},
        [({"n": 12}, {"n": 12})],
        [({"n": 2}, 'n: "2" is not ten or so')],
    ),
    Case(
        "check_pattern",
        ["a", "("],
        TEXTS,
        [],
        [({"a": "x"}, "invalid regular expression: parentheses () not balanced")],
    ),
    Case("check_pattern", ["no", "x"], TEXTS, [], [({"a": "x"}, 'check_pattern: there is no column "no"')]),
    Case(
        "check_range",
        ["x", "-0.5", 100],
        {"x": "float8", "t": "text"},
        [({"x": x, "t": None}, {"x": x, "t": None}) for x in (-0.5, 0.0, 1e-7, 100.0, None)],
        [
            ({"x": -0.6, "t": None}, "x: -0.6 is not between -0.5 and 100"),
            ({"x": 100.5, "t": None}, "x: 100.5 is not between -0.5 and 100"),
            ({"x": "NaN", "t": None}, "x: NaN is not between -0.5 and 100"),
            ({"x": "Infinity", "t": None}, "x: Infinity is not between -0.5 and 100"),
        ],
    ),
    Case(
        "check_range",
        ["n", "", "9"],
        {"n": "numeric"},
        [({"n": -5}, {"n": -5})],
        [({"n": 10}, "n: 10 is not 9 or less")],
    ),
    Case(
        "check_range",
        ["d", "1900-01-01"],
        {"d": "date"},
        [({"d": "1900-01-01"}, {"d": "1900-01-01"}), ({"d": None}, {"d": None})],
        [({"d": "1899-12-31"}, "d: 1899-12-31 is not 1900-01-01 or more")],
    ),
    Case(
        "check_range",
        ["t", "2020-01-01", "2020-12-31T12:00"],
        {"t": "timestamp"},
        [({"t": "2020-12-31T12:00:00"}, {"t": "2020-12-31T12:00:00.000"})],
        [({"t": "2020-12-31T12:00:01"}, "t: 2020-12-31T12:00:01 is not between 2020-01-01 and 2020-12-31T12:00")],
    ),
    Case(
        "check_range",
        ["a", 1],
        TEXTS,
        [({"a": " 2 ", "b": ""}, {"a": " 2 ", "b": ""})],
        [({"a": "two"}, 'a: "two" is not a number')],
    ),
    Case("check_range", ["no", 1], TEXTS, [], [({"a": "x"}, 'check_range: there is no column "no"')]),
    Case(
        "check_coordinates",
        ["lat", "lon"],
        PLACE,
        [
            ({"lat": lat, "lon": lon}, {"lat": lat, "lon": lon})
            for lat, lon in ((-90.0, 180.0), (0.0, 1e-9), (None, None))
        ],
        [
            ({"lat": 90.1, "lon": 100.0}, "lat: 90.1 is not between -90 and 90"),
            ({"lat": 1.0, "lon": -180.5}, "lon: -180.5 is not between -180 and 180"),
            (
                {"lat": -122.4, "lon": 37.8},
                "lat: -122.4 is not between -90 and 90; are latitude and longitude the wrong way round?",
            ),
            ({"lat": 1.0, "lon": None}, "lat and lon: one is given without the other"),
            (
                {"lat": 0.0, "lon": 0.0},
                "lat and lon: 0, 0 is in the ocean; leave both empty for a place that is not known",
            ),
            ({"lat": "NaN", "lon": 1.0}, 'lat: "NaN" is not a number'),
        ],
    ),
    Case(
        "check_coordinates",
        ["a", "b"],
        TEXTS,
        [({"a": " 52.5", "b": "13.4"}, {"a": " 52.5", "b": "13.4"})],
        [({"a": "52,5", "b": "13,4"}, 'a: "52,5" is not a number'), ({"a": "52", "b": ""}, 'b: "" is not a number')],
    ),
    Case(
        "check_coordinates",
        ["a", "no"],
        TEXTS,
        [],
        [({"a": "1", "b": "1"}, 'check_coordinates: there is no column "no"')],
    ),
    Case(
        "parse_date",
        ["a", "dmy"],
        TEXTS,
        [
            ({"a": "31.12.2024", "b": ""}, {"a": "2024-12-31", "b": ""}),
            ({"a": " 1/2/2024 ", "b": ""}, {"a": "2024-02-01", "b": ""}),
            ({"a": "29. 2. 2024", "b": ""}, {"a": "2024-02-29", "b": ""}),
            ({"a": "2024-02-29", "b": ""}, {"a": "2024-02-29", "b": ""}),
            ({"a": "", "b": ""}, {"a": None, "b": ""}),
            ({"a": None, "b": ""}, {"a": None, "b": ""}),
        ],
        [
            (row, f'a: "{row["a"]}" is not a date of the format dmy')
            for row in (
                {"a": "29.02.2023", "b": ""},
                {"a": "12/31/2024", "b": ""},
                {"a": "1.2.24", "b": ""},
                {"a": "2023-02-29", "b": ""},
                {"a": "soon", "b": ""},
            )
        ],
    ),
    Case(
        "parse_date",
        ["a", "mdy", "d"],
        {"a": "text", "d": "date"},
        [
            ({"a": "12/31/2024", "d": None}, {"a": "12/31/2024", "d": "2024-12-31"}),
            ({"a": None, "d": "2020-01-01"}, {"a": None, "d": None}),
        ],
        [({"a": "31/12/2024", "d": None}, 'a: "31/12/2024" is not a date of the format mdy')],
    ),
    Case(
        "parse_date",
        ["a", LONG, "t"],
        {"a": "text", "t": "timestamp"},
        [({"a": "5 March 2024, 07:08", "t": None}, {"a": "5 March 2024, 07:08", "t": "2024-03-05T07:08:00.000"})],
        [
            ({"a": "5 March 2024", "t": None}, f'a: "5 March 2024" is not a date of the format {LONG}'),
            ({"a": "5 Marsh 2024, 07:08", "t": None}, f'a: "5 Marsh 2024, 07:08" is not a date of the format {LONG}'),
        ],
    ),
    Case(
        "parse_date",
        ["a", "YYYYMMDD"],
        TEXTS,
        [({"a": "20240229", "b": ""}, {"a": "2024-02-29", "b": ""})],
        [({"a": "20230229", "b": ""}, 'a: "20230229" is not a date of the format YYYYMMDD')],
    ),
    Case("parse_date", ["a", "dmy", "no"], TEXTS, [], [({"a": "x"}, 'parse_date: there is no column "no"')]),
    Case("stamp_updated", ["no"], TEXTS, [], [({"a": "x"}, 'stamp_updated: there is no column "no"')]),
    Case(
        "record_history",
        ["x"],
        TEXTS,
        [],
        [({"a": "x"}, "record_history: datastore_history_create puts it in place, not the list of triggers")],
    ),
]
