"""The generated pages of docs/."""

from __future__ import annotations

from datastore.actions import registry
from datastore.docs import configuration, permissions, trigger_library
from datastore.settings import Settings
from datastore.tables.functions.library import library


def test_every_setting_is_documented_once() -> None:
    text = configuration()

    for name, field in Settings.model_fields.items():
        assert text.count(f"| `{Settings.variable(name)}` |") == 1
        assert field.description


def test_a_row_says_type_limits_and_default() -> None:
    text = configuration()

    assert "| `DATASTORE_PORT` | integer, at least 0, at most 65535 | `8080` | Port to listen on. |" in text
    assert "| `DATABASE_URL` | text |  | " in text
    assert "| `DATASTORE_WORKERS` | integer, at least 1 | the number of cores |" in text
    assert "| `DATASTORE_DEMO` | yes or no | `true` |" in text


def test_every_function_of_the_library_is_documented() -> None:
    text = trigger_library()

    for name, function in library().items():
        assert f"\n## {name}\n\n{function.summary}\n" in text
        assert function.example in text
    assert "| `code …` | the codes |" in text


def test_every_action_is_in_the_table_of_permissions_once() -> None:
    text = permissions()

    for name in registry.names():
        assert text.count(f"\n| `{name}` |") == 1
    assert (
        "\n| `package_show` | public | public | yes | yes | yes | yes | yes | yes | who may see the dataset |\n" in text
    )
    assert text.startswith("# Who may do what\n")
    assert "\n## Logging in elsewhere\n" in text
