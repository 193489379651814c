"""Every form in which a request may carry its parameters, and every way in which it may be wrong."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile

from datastore.errors import BadRequest, PayloadTooLarge, ValidationError
from datastore.settings import Settings
from tests.http.sending import FORM, READ, parameters, send

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT.filter(lambda name: name != "records"), VALUES, max_size=5)


def multipart(
    fields: Mapping[str, str | list[str]], files: Mapping[str, tuple[str, bytes]] | None = None
) -> tuple[bytes, str]:
    """Body and content type of a multipart form."""
    parts = [
        f'form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, values in fields.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    for name, (filename, content) in (files or {}).items():
        parts.append(f'form-data; name="{name}"; filename="{filename}"\r\n\r\n'.encode() + content)
    body = b"".join(b"--b\r\nContent-Disposition: " + part + b"\r\n" for part in parts)
    return body + b"--b--\r\n", "multipart/form-data; boundary=b"


# The forms of a document


@given(OBJECTS)
async def test_any_object_survives_every_form(document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False).encode()
    assert await parameters(text) == document
    assert await parameters(json.dumps(document).encode(), "text/plain; charset=utf-8") == document
    assert await parameters(text, None) == document
    assert await parameters(text, FORM) == document
    assert await parameters(text + b"=", FORM) == document
    assert await parameters(quote(text).encode(), FORM) == document
    assert await parameters(quote_plus(text).encode() + b"=1", FORM) == document
    assert await parameters(b"\xef\xbb\xbf" + text) == document
    body, content_type = multipart({re.sub(r'(["\\])', r"\\\1", json.dumps(document)): ""})
    assert await parameters(body, content_type) == document


@given(st.dictionaries(TEXT, st.lists(TEXT, min_size=1, max_size=3), min_size=2, max_size=5))
async def test_fields_of_forms_and_query_strings_are_strings_or_lists(fields: dict[str, list[str]]) -> None:
    fields.pop("callback", None)
    encoded = urlencode(fields, doseq=True)
    expected = {name: values if len(values) > 1 else values[0] for name, values in fields.items()}
    assert await parameters(query=encoded, method="GET", action=READ) == expected
    if len(fields) > 1 and not encoded.startswith(("{", "%7B")):
        assert await parameters(encoded.encode(), FORM) == expected


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), TEXT, min_size=2, max_size=5))
async def test_multipart_fields(fields: dict[str, str]) -> None:
    body, content_type = multipart(fields)
    assert await parameters(body, content_type) == fields


@given(st.binary(max_size=200), st.sampled_from(["application/json", FORM, "text/plain", ""]))
async def test_any_bytes_are_parameters_or_a_bad_request(body: bytes, content_type: str) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(await parameters(body, content_type), dict)


@given(st.binary(max_size=200), st.sampled_from(["utf-8", "idna", "undefined", "zlib", "utf-16", "x"]))
async def test_any_multipart_bytes_are_parameters_or_a_bad_request(body: bytes, charset: str) -> None:
    content_type = f"multipart/form-data; boundary=b; charset={charset}"
    part = b'--b\r\nContent-Disposition: form-data; name="\xff' + body + b'"\r\n\r\n' + body + b"\r\n--b--\r\n"
    for content in (body, part):
        with contextlib.suppress(BadRequest):
            assert isinstance(await parameters(content, content_type), dict)


@given(st.binary(max_size=200))
async def test_any_query_string_is_parameters_or_a_bad_request(query: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(await parameters(query=query, method="GET", action=READ), dict)


# Which form counts


async def test_empty_bodies_are_empty_objects() -> None:
    for content_type in ("application/json", FORM, None):
        assert await parameters(b"", content_type) == {}
        assert await parameters(b" \r\n", content_type) in ({}, {" \r\n": ""})
    assert await parameters(b"", "multipart/form-data; boundary=b", headers={"content-length": "0"}) == {}


async def test_a_form_hides_the_query_string_and_the_query_string_hides_json() -> None:
    assert await parameters(b"id=form", FORM, query="id=query", action=READ) == {"id": "form"}
    body, content_type = multipart({"id": "form"})
    assert await parameters(body, content_type, query="id=query", action=READ) == {"id": "form"}
    assert await parameters(b'{"id": "json"}', query="id=query", action=READ) == {"id": "query"}
    assert await parameters(b"", FORM, query="id=query", action=READ) == {"id": "query"}
    assert await parameters(b'{"id": "json"}', query="callback=f", action=READ) == {"id": "json"}


async def test_writes_ignore_the_query_string() -> None:
    assert await parameters(b'{"id": "json"}', query="id=query") == {"id": "json"}
    assert await parameters(b"", FORM, query="id=query") == {}


async def test_a_single_field_that_is_no_document_is_a_field() -> None:
    assert await parameters(b"id=1", FORM) == {"id": "1"}
    assert await parameters(b"id=", FORM) == {"id": ""}
    assert await parameters(b"5", FORM) == {"5": ""}


async def test_json_with_form_characters_sent_as_a_form() -> None:
    document = {"url": "http://a/?b=c&d=e", "percent": "100%25", "plus": "a+b"}
    assert await parameters(json.dumps(document).encode(), FORM) == document
    assert await parameters(quote(json.dumps(document)).encode(), FORM) == document


@pytest.mark.parametrize("content_type", ["application/json", FORM])
@pytest.mark.parametrize("body", [b"[1]", b'"text"'])
async def test_json_that_is_no_object(body: bytes, content_type: str) -> None:
    with pytest.raises(BadRequest, match=r"JSON Error: .*needs to be a dictionary"):
        await send(body, content_type)


@pytest.mark.parametrize("body", [b"1", b"null", b"true"])
async def test_json_scalars_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match=r"JSON Error: .*needs to be a dictionary"):
        await send(body)


# What is wrong with a document


@pytest.mark.parametrize(
    "value",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"[1,]",
        b'{"a" 1}',
        b"tru",
        b"01",
        b"'a'",
        b'"\\ud800"',
        b'"\\udc00x"',
        b'"\\ud800\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'"a\nb"',
        b'"\\x"',
        b'"unfinished',
        b"[" * 5000,
        b"[" * 5000 + b"]" * 5000,
    ],
    ids=lambda value: repr(value[:12]),
)
@pytest.mark.parametrize("name", [b"a", b"records"])
async def test_malformed_values_are_refused_decoded_or_not(name: bytes, value: bytes) -> None:
    for body in (b'{"%b": %b}' % (name, value), b'{"x": 1, "%b": %b, "y": "\xc3\xa9"}' % (name, value)):
        with pytest.raises(BadRequest, match="JSON Error"):
            await send(body)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("body", ['{"records": [{"a": %s}]}', '{"x":"é","records":[%s]}', '{"a":%s}'])
async def test_what_to_send_instead_of_a_nan_is_told(body: str, value: str) -> None:
    with pytest.raises(BadRequest, match=f': {value} is no JSON; send null, or the text "{value}"$'):
        await send((body % value).encode())


@pytest.mark.parametrize(
    "body", [b'{"a": 1', b'{"a": 1}}', b'{"a": 1} x', b'{"\xff": 1}', b'{"\\ud800": 1}', b"{broken"]
)
@pytest.mark.parametrize("content_type", ["application/json", FORM])
async def test_malformed_documents_are_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(BadRequest, match="JSON Error"):
        await send(body, content_type)


async def test_nul_characters_are_refused_wherever_they_stand() -> None:
    with pytest.raises(BadRequest, match="NUL"):
        await send(b'{"a\\u0000": 1}')
    for body in (b'{"b": 1, "a": "\\u0000"}', b'{"a": [{"b\\u0000": 1}]}', b'{"a": [["\\u0000"]]}'):
        with pytest.raises(ValidationError) as refusal:
            await send(body)
        assert refusal.value.fields == {"a": ["a NUL character is not allowed"]}
    with pytest.raises(BadRequest, match="NUL"):
        await send(b"a%00=1", FORM)
    for pair in ("b=1&a=%00", "a=\0"):
        with pytest.raises(ValidationError) as refusal:
            await send(pair.encode(), FORM)
        assert list(refusal.value.fields) == ["a"]
        with pytest.raises(ValidationError, match="NUL"):
            await send(query=pair, method="GET", action=READ)
    assert await parameters(b'{"a": "\\\\u0000"}') == {"a": "\\u0000"}


async def test_nesting_is_limited() -> None:
    settings = Settings(max_json_depth=4)
    assert await parameters(b'{"a": [[["x"]]]}', settings=settings) == {"a": [[["x"]]]}
    assert await parameters(b'{"a": "[[[[[[", "b": [1, [2], [3], [4]]}', settings=settings)
    for body in (b'{"a": [[[["x"]]]]}', b'{"a": {"b": {"c": {"d": {}}}}}'):
        with pytest.raises(BadRequest, match="nested too deeply"):
            await send(body, settings=settings)


async def test_raw_parameters_are_handed_over_as_they_stand() -> None:
    text = b'[ {"a": 1.10, "b" : "\xc3\xa9\\u0000"} ]'
    records = (await parameters(b'{"id": "x", "records": ' + text + b"}"))["records"]
    assert type(records) is msgspec.Raw
    assert bytes(records) == text
    assert await parameters(b'{"records": null}') == {"records": None}
    assert bytes((await parameters(b'{"records": %b}=' % text, FORM))["records"]) == text
    assert await parameters(b"records=%5B%5D&id=x", FORM) == {"records": "[]", "id": "x"}


async def test_numbers_keep_their_digits() -> None:
    numbers = (
        await parameters(b'{"a": [1.10, 1e2, 0.1234567890123456789, 1e400, -0.0, 123456789012345678901234567890]}')
    )["a"]
    assert numbers == [
        1.1,
        100.0,
        Decimal("0.1234567890123456789"),
        Decimal("1e400"),
        0.0,
        123456789012345678901234567890,
    ]
    assert [type(number) for number in numbers] == [float, float, Decimal, Decimal, float, int]
    for number in (b"1e99999", b"1e-99999", b"1e999999999999999999999", b"1" * 5000):
        with pytest.raises(BadRequest, match="out of range"):
            await send(b'{"a": %b}' % number)
    assert (await parameters(b'{"a": 0e99999}'))["a"] == 0


async def test_parameters_that_are_not_utf8_are_refused() -> None:
    for pair in (b"a=%ff", b"%ff=a", b"a=\xff"):
        with pytest.raises(BadRequest, match="UTF-8"):
            await send(pair, FORM)
        with pytest.raises(BadRequest, match="UTF-8"):
            await send(query=pair, method="GET", action=READ)
    assert await parameters(query="a=ž&b=%C5%BE", method="GET", action=READ) == {"a": "ž", "b": "ž"}


async def test_the_number_of_parameters_is_limited() -> None:
    with pytest.raises(BadRequest, match="1000"):
        await send(b"a=1&" * 1001, FORM)


# Multipart


async def test_uploaded_files_are_file_objects() -> None:
    body, content_type = multipart({"name": "n", "tag": ["a", "b"]}, {"upload": ("f.csv", b"x,y\n" * 10)})
    decoded = await send(body, content_type)
    upload = decoded.parameters.pop("upload")
    assert decoded.parameters == {"name": "n", "tag": ["a", "b"]}
    assert isinstance(upload, UploadFile)
    assert (upload.filename, upload.size) == ("f.csv", 40)
    assert await upload.read() == b"x,y\n" * 10
    await decoded.close()
    assert upload.file.closed


async def test_a_file_field_without_a_file_is_absent() -> None:
    body, content_type = multipart({"name": "n"}, {"upload": ("", b"")})
    assert await parameters(body, content_type) == {"name": "n"}


async def test_broken_multipart_bodies_are_refused() -> None:
    body, content_type = multipart({"name": "n", "other": "o"}, {"upload": ("f.csv", b"x" * 1000)})
    for broken, kind in (
        (body[:-10], content_type),
        (body[:200], content_type),
        (body.replace(b'name="other"', b"nothing"), content_type),
        (body.replace(b"\r\n\r\nn\r\n", b"\r\n\r\n\xff\r\n"), content_type),
        (body, "multipart/form-data"),
        (b"", content_type),
    ):
        with pytest.raises(BadRequest, match="multipart"):
            await send(broken, kind)


# Sizes


async def test_bodies_beyond_the_limit_are_refused() -> None:
    settings = Settings(max_body_size=2000)
    big = b'{"a": "%b"}' % (b"x" * 2000)
    form, multipart_type = multipart({"a": "x" * 2000})
    for body, content_type in ((big, "application/json"), (big, FORM), (form, multipart_type)):
        with pytest.raises(PayloadTooLarge):
            await send(body, content_type, settings=settings)
    with pytest.raises(PayloadTooLarge):
        await send(b"", headers={"content-length": "2001"}, settings=settings)
    with pytest.raises(PayloadTooLarge):
        await send(b"", headers={"content-length": "9" * 5000}, settings=settings)


async def test_bodies_that_end_early_and_wrong_lengths_are_refused() -> None:
    with pytest.raises(BadRequest, match="not complete"):
        await send(b'{"a": 1}', complete=False)
    with pytest.raises(BadRequest, match="Content-Length"):
        await send(b'{"a": 1}', headers={"content-length": "-1"})


# JSONP


async def test_the_callback_is_taken_off_the_parameters() -> None:
    decoded = await send(query="callback=fn&id=x", method="GET", action=READ)
    assert (decoded.parameters, decoded.callback) == ({"id": "x"}, "fn")
    decoded = await send(b'{"id": "x"}', query="callback=fn")
    assert (decoded.parameters, decoded.callback) == ({"id": "x"}, "fn")
    assert (await send(query="callback=&id=x", method="GET", action=READ)).callback is None


@pytest.mark.parametrize("name", ["name-of-callback-function", "a.b.c", "jQuery_1", "$", "_x", "f[0]"])
async def test_callbacks_that_are_addresses_of_functions(name: str) -> None:
    assert (await send(query=urlencode({"callback": name}), method="GET", action=READ)).callback == name


@pytest.mark.parametrize("name", ["alert(1)//", "<script>", "a b", "1a", "a;b", 'f["x"]', "x" * 200, "ž", "a\n"])
async def test_callbacks_that_would_be_code(name: str) -> None:
    with pytest.raises(BadRequest, match="callback"):
        await send(query=urlencode({"callback": name}), method="GET", action=READ)
    with pytest.raises(BadRequest, match="callback"):
        await send(query="callback=a&callback=b", method="GET", action=READ)
