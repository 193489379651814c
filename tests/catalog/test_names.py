"""Names made from free text, names of tags, formats and dates."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.catalog import dates, formats, licenses
from datastore.catalog.names import munge_name, munge_tag, munge_title_to_name, tag_name
from datastore.validation import Invalid, name


@given(st.text(max_size=200) | st.text(alphabet="aé-. _:/09", max_size=200))
def test_every_slug_is_a_valid_name(text: str) -> None:
    for munge in (munge_name, munge_title_to_name):
        slug = munge(text)
        if slug not in ("new", "edit", "search"):
            assert name(slug) == slug
        assert munge(slug) == slug


@given(st.text(max_size=200))
def test_every_munged_tag_is_a_valid_tag(text: str) -> None:
    tag = munge_tag(text)
    if tag.strip("-_"):
        assert tag_name(tag) == tag


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("police: spending figures 2009", "police-spending-figures-2009"),
        ("Straße – Übersicht", "strasse-ubersicht"),
        ("  Ærø/Łódź  ", "aero-lodz"),
        ("x", "x_"),
        ("", "__"),
        ("日本", "__"),
        ("a" * 120 + " 2009", "a" * 90 + "-2009"),
        ("a" * 120 + " 2008-09", "a" * 87 + "-2008-09"),
        ("a" * 120, "a" * 95),
    ],
)
def test_slugs_of_titles(title: str, slug: str) -> None:
    assert munge_title_to_name(title) == slug


def test_munged_names_and_tags() -> None:
    assert munge_name("police spending figures 2009") == "police-spending-figures-2009"
    assert munge_tag("water quality") == "water-quality"
    assert munge_tag(" Wässer! ") == "wasser"


@pytest.mark.parametrize("tag", ["ab", "Économie", "water quality", "v1.2_x-y", "日本語", "हिन्दी"])
def test_tags(tag: str) -> None:
    assert tag_name(tag) == tag


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("", "Missing value"),
        ("a", 'Tag "a" length is less than minimum 2'),
        ("a" * 101, 'Tag "' + "a" * 100 + '…" length is more than maximum 100'),
        (
            "a,b",
            'Tag "a,b" can only contain alphanumeric characters, spaces (" "), hyphens ("-"), underscores ("_") or '
            'dots (".")',
        ),
    ],
)
def test_no_tags(tag: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        tag_name(tag)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("csv", "CSV"),
        ("text/csv", "CSV"),
        (" GEOJSON ", "GeoJSON"),
        (".xlsx", "XLSX"),
        ("jpg", "JPEG"),
        ("My Own Format", "My Own Format"),
        ("", ""),
        (None, ""),
    ],
)
def test_canonical_formats(given: str | None, canonical: str) -> None:
    assert formats.canonical(given) == canonical


@pytest.mark.parametrize(
    ("url", "guessed"),
    [
        ("http://example.org/a/data.CSV?x=1#top", "CSV"),
        ("data.geojson", "GeoJSON"),
        ("http://example.org", ""),
        ("http://example.com/", ""),
        ("http://example.org/page.unknown", ""),
        ("http://[broken/data.xml", "XML"),
        ("", ""),
    ],
)
def test_formats_guessed_from_addresses(url: str, guessed: str) -> None:
    assert formats.guess(url) == guessed


@given(st.datetimes())
def test_dates_survive_being_shown_and_sent_back(moment: datetime) -> None:
    shown = dates.render(moment)
    assert shown is not None
    assert dates.parse(shown) == moment
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", shown)
    assert ("." in shown) is (moment.microsecond != 0)


def test_dates_of_clients() -> None:
    assert dates.parse("2012-04-01") == datetime(2012, 4, 1)
    assert dates.parse("2012-04-01T12:00:00+02:00") == datetime(2012, 4, 1, 10)
    assert dates.parse("2012-04-01 12:00:00Z") == datetime(2012, 4, 1, 12)
    assert dates.parse("") is None
    for wrong in ("yesterday", "2012-13-01", 5, ["2012-04-01"], "0001-01-01T00:00:00+14:00", "a\0b"):
        with pytest.raises(Invalid, match="Date format incorrect"):
            dates.parse(wrong)


def test_licences() -> None:
    shown = {license["id"]: license for license in licenses.license_list()}
    assert list(shown) == [
        "notspecified", "odc-pddl", "odc-odbl", "odc-by", "cc-zero", "cc-by", "cc-by-sa", "gfdl", "other-open",
        "other-pd", "other-at", "uk-ogl", "cc-nc", "other-nc", "other-closed",
    ]  # fmt: skip
    assert set(shown["cc-by"]) == {
        "id", "title", "url", "domain_content", "domain_data", "domain_software", "od_conformance", "osd_conformance",
        "family", "maintainer", "is_generic", "status",
    }  # fmt: skip
    closed = {license.id for license in licenses.LICENSES.values() if not license.is_open}
    assert closed == {"notspecified", "cc-nc", "other-nc", "other-closed"}
    assert licenses.find(None) is None
