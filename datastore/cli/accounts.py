"""Users and their tokens: ``datastore user``, ``datastore token``."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated

import typer

from datastore.bootstrap import StartError
from datastore.cli.shared import DataDir, examples, on_services, run_action, settings_for
from datastore.errors import NotFound

users = typer.Typer(no_args_is_help=True, help="Users of the site.")
tokens = typer.Typer(no_args_is_help=True, help="API tokens, by which programs say who they are.")


@users.command(
    "add",
    epilog=examples(
        "datastore user add ada --email ada@example.org",
        "datastore user add root --email root@example.org --sysadmin --password 'correct horse'",
    ),
)
def add_user(
    name: Annotated[str, typer.Argument(help="Login name: lower-case letters, digits, - and _.")],
    email: Annotated[str, typer.Option(help="E-mail address.")],
    sysadmin: Annotated[bool, typer.Option("--sysadmin", help="May do everything.")] = False,
    password: Annotated[
        str | None, typer.Option(help="At least 8 characters; asked for on a terminal, else made up and shown.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a user."""
    settings = settings_for("warning", data_dir=data_dir)
    made_up = None
    if password is None and sys.stdin.isatty():
        password = typer.prompt(
            "Password (empty: make one up)", default="", show_default=False, hide_input=True, confirmation_prompt=True
        )
    if not password:
        password = made_up = secrets.token_urlsafe(12)
    fields = {"name": name, "email": email, "password": password, "sysadmin": sysadmin}
    on_services(settings, lambda services: run_action(services, "user_create", fields))
    print(f"Added {'the sysadmin' if sysadmin else 'the user'} {name}.")
    if made_up:
        print(f"Password: {made_up}")


@tokens.command(
    "create",
    epilog=examples(
        "datastore token create admin",
        "datastore token create ada --name harvester --expires-days 90",
        'curl -H "Authorization: $(datastore token create admin)" http://127.0.0.1:8080/api/3/action/user_show',
    ),
)
def create_token(
    user: Annotated[str, typer.Argument(help="Name of the user.")],
    name: Annotated[str, typer.Option(help="By which the user will know the token.")] = "command line",
    expires_days: Annotated[
        int | None, typer.Option(min=1, help="Days for which the token is valid.", show_default="for ever")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create an API token and print it, and nothing else, to standard output. It is shown this once only."""
    settings = settings_for("warning", data_dir=data_dir)
    fields = {"user": user, "name": name, "expires_in": expires_days, "unit": 86_400}
    try:
        created = on_services(settings, lambda services: run_action(services, "api_token_create", fields))
    except NotFound:
        raise StartError(
            f"There is no user {user}. Add them: datastore user add {user} --email {user}@example.org"
        ) from None
    print(created["token"])
