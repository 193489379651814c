"""All settings: one frozen object, read once from ``DATASTORE_*`` environment variables (and ``DATABASE_URL``).

``docs/configuration.md`` is generated from this object: describe every field for the operator who reads it there.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """``/var/lib/datastore`` for root, ``~/.local/share/datastore`` for everybody else."""
    return Path("/var/lib/datastore") if os.geteuid() == 0 else Path.home() / ".local/share/datastore"


class Settings(BaseSettings):
    """The configuration of one running service. Sizes are in bytes, durations in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="DATASTORE_", env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )

    # Where things are
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of everything that the service keeps: the embedded PostgreSQL, secrets, uploads.",
    )
    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="`postgresql://user:password@host:port/database` of your own PostgreSQL 15 or newer. "
        "If unset, an embedded PostgreSQL runs in the data folder.",
    )
    role_prefix: str = Field(
        "datastore",
        pattern=r"^[a-z][a-z0-9_]{0,40}$",
        description="Prefix of the PostgreSQL roles (`<prefix>_reader`, `<prefix>_public`, `<prefix>_triggers`), so "
        "that two instances can share a server.",
    )
    secret_key: str | None = Field(
        None,
        description="Secret from which the passwords of the read-only PostgreSQL roles and all signatures are derived. "
        "If unset, one is made and kept in the data folder. Set it when several machines serve one database.",
    )

    # The server
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, description="Number of worker processes.")
    graceful_timeout: float = Field(30.0, ge=0, description="Time that requests in flight get to finish at a stop.")
    keep_alive: int = Field(
        75, ge=0, description="Time that an idle connection stays open; longer than a proxy in front keeps it."
    )
    backlog: int = Field(2048, ge=1, description="Connections that may wait to be accepted.")
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Addresses or networks of proxies, separated by commas, whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` headers are believed; `*` for all.",
    )

    # The site
    site_url: str = Field(
        "", description="Public address of the site, without a final slash. If unset, taken from each request."
    )
    site_title: str = Field("DataStore", description="Title of the site.")
    site_description: str = Field("", description="One sentence about the site.")
    site_id: str = Field("default", description="Name of the hidden internal user.")
    locale_default: str = Field("en", description="Default language of the site.")
    licenses_group_url: str | None = Field(
        None,
        description="File or http(s) address of a JSON list of the licences that datasets may have, instead of the "
        "built-in ones; read at the start.",
    )
    default_views: str = Field(
        "datatables_view image_view text_view pdf_view webpage_view video_view audio_view geojson_view",
        description="Types of views, separated by spaces, that a resource gets by itself where they suit it.",
    )
    hide_version: bool = Field(False, description="`status_show` tells versions to sysadmins only.")
    error_emails_to: str | None = Field(None, description="Address shown for error reports.")
    sysadmin_token: str | None = Field(
        None,
        min_length=16,
        description="If set at start, the sysadmin `admin` exists and this is a valid API token of theirs.",
    )
    demo: bool = Field(True, description="Load the demo dataset when the store is empty.")

    # The wire
    apitoken_header_name: str = Field("Authorization", description="Request header that carries the API token.")
    cors_origin_allow_all: bool = Field(False, description="Answer every `Origin` with `*`.")
    cors_origin_whitelist: str = Field("", description="Origins allowed to call the API, separated by spaces.")
    max_body_size: int = Field(256 * 2**20, ge=1024, description="Largest accepted request body, after decompression.")
    max_upload_size: int = Field(
        4 * 2**30,
        ge=1024,
        description="Largest accepted body of records alone (CSV, NDJSON, Arrow, Parquet), after decompression. It is "
        "kept in a file in the system's temporary folder (`TMPDIR`) until it is stored.",
    )
    max_json_depth: int = Field(64, ge=2, le=200, description="Deepest nesting of JSON parameters.")
    public_max_age: int = Field(
        0,
        ge=0,
        description="Seconds for which caches may answer with the rows of public tables without asking us. With 0 they "
        "ask every time, which costs little when nothing has changed.",
    )
    compress_min_size: int = Field(1000, ge=0, description="Responses smaller than this are not compressed.")

    # Searches
    search_rows_default: int = Field(100, ge=0, description="`limit` of datastore_search when none is given.")
    search_rows_max: int = Field(32_000, ge=1, description="Largest `limit` of datastore_search.")
    package_search_rows_max: int = Field(1000, ge=1, description="Largest `rows` of package_search.")
    default_fts_lang: str = Field("english", description="Text-search configuration used for full text.")
    ms_in_timestamp: bool = Field(True, description="Show timestamps with three digits of milliseconds.")

    # SQL
    sql_enabled: bool = Field(True, description="Offer datastore_search_sql: read-only SQL for everybody.")
    sql_timeout: float = Field(60.0, gt=0, description="Longest time that one statement may take.")
    sql_connections: int = Field(
        4,
        ge=1,
        description="Statements that run at a time in each worker, on public tables and again on others; further ones "
        "wait, for at most `DATASTORE_SQL_TIMEOUT`.",
    )
    sql_work_mem: int = Field(
        16 * 2**20, ge=64 * 2**10, description="Memory of each sort or hash table of a statement (`work_mem`)."
    )
    sql_max_memory: int = Field(
        2**30,
        ge=64 * 2**20,
        description="Most memory of each PostgreSQL process that runs statements, beside the shared. The embedded "
        "server alone can be told; where the service may not limit single processes, as in most containers, it "
        "holds for all of them and is at least 1 GiB.",
    )
    sql_temp_limit: int = Field(
        2**30,
        ge=2**20,
        description="Most disk space that a statement may take for temporary files (`temp_file_limit`), where the "
        "server lets us set it: the embedded one does.",
    )
    sql_max_cost: float = Field(
        0.0, ge=0, description="Largest cost of a statement, as PostgreSQL estimates it; 0 for no limit."
    )
    sql_file_rows_max: int = Field(
        1_000_000, ge=1, description="Most rows of a result as a file (`format`); one with more breaks off."
    )
    sql_max_length: int = Field(100_000, ge=1000, description="Longest text of a statement, in characters.")

    # PostgreSQL connections
    pool_size: int = Field(8, ge=1, description="Most connections of each worker and role.")
    connect_timeout: float = Field(10.0, gt=0, description="Time to wait for a new connection.")
    read_timeout: float = Field(60.0, gt=0, description="statement_timeout of reads.")
    write_timeout: float = Field(600.0, gt=0, description="statement_timeout of writes.")
    lock_timeout: float = Field(30.0, gt=0, description="Longest wait of a write for a lock.")
    job_slots: int = Field(
        2, ge=1, description="Most background jobs at a time in each worker, such as building a full-text index."
    )
    dump_connections: int = Field(
        4,
        ge=1,
        description="Most connections for dumps of each worker; a dump of a large table takes a second one if it is "
        "free, further dumps wait.",
    )
    dump_stall_timeout: float = Field(
        120.0, gt=0, description="A dump whose client takes nothing for so long is given up."
    )
    start_timeout: float = Field(60.0, gt=0, description="Time that the embedded PostgreSQL gets to start or stop.")

    # Who may do what
    anon_create_dataset: bool = Field(False, description="Anonymous visitors may create datasets.")
    create_unowned_dataset: bool = Field(False, description="Datasets need no organization.")
    create_dataset_if_not_in_organization: bool = Field(
        True, description="Users without any organization may create (unowned) datasets."
    )
    user_create_groups: bool = Field(True, description="Every user may create groups.")
    user_create_organizations: bool = Field(False, description="Every user may create organizations.")
    user_delete_groups: bool = Field(True, description="Admins of a group may delete it.")
    user_delete_organizations: bool = Field(True, description="Admins of an organization may delete it.")
    roles_that_cascade_to_sub_groups: str = Field(
        "admin",
        description="Roles, separated by spaces, that count in the groups and organizations below as well: any of "
        "`admin`, `editor`, `member`; or `none`.",
    )
    allow_dataset_collaborators: bool = Field(
        False, description="Users may be let into single datasets, whatever their role in the organization."
    )
    allow_admin_collaborators: bool = Field(
        False, description="Collaborators may be `admin`: they choose the other collaborators of the dataset."
    )
    create_user_via_api: bool = Field(False, description="Anybody may create a user through the API.")
    create_user_via_web: bool = Field(False, description="Anybody may register on the web pages.")
    public_user_details: bool = Field(True, description="Everybody may see who the users are.")
    public_activity_stream_detail: bool = Field(
        False, description="Everybody may see the details of activities, such as what changed in a dataset."
    )
    legacy_api_keys: bool = Field(
        False, description="Accept the API keys of old, one for each user, made by user_generate_apikey."
    )
    reset_key_lifetime: float = Field(
        3 * 86_400.0, gt=0, description="How long the link of an invitation or of a forgotten password is valid."
    )

    # Mail
    smtp_server: str = Field(
        "",
        pattern=r"^([^:\s]+(:\d{1,5})?)?$",
        description="`host` or `host:port` of the server that takes our mail; needs `DATASTORE_SITE_URL`, which the "
        "links in mails start with. If unset, nothing is mailed.",
    )
    smtp_starttls: bool = Field(False, description="Encrypt the connection, after a greeting in the clear (STARTTLS).")
    smtp_user: str | None = Field(None, description="User name at that server, if it wants one.")
    smtp_password: str | None = Field(None, description="Password at that server.")
    smtp_mail_from: str = Field("", description="Address that our mail comes from.")
    smtp_timeout: float = Field(10.0, gt=0, description="Longest wait for that server.")

    # Operating
    log_format: str = Field(
        "auto", pattern="^(auto|text|json)$", description="`text`, `json`, or `auto`: text on a terminal, else JSON."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")
    metrics: bool = Field(True, description="Serve Prometheus metrics at `/metrics`.")

    @field_validator("smtp_server")
    @classmethod
    def _mail_has_links(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("site_url"):
            raise ValueError("set DATASTORE_SITE_URL too: the links in mails start with it")
        return value

    @field_validator("roles_that_cascade_to_sub_groups")
    @classmethod
    def _roles(cls, value: str) -> str:
        if unknown := set(value.split()) - {"admin", "editor", "member", "none"}:
            raise ValueError(f"no role: {', '.join(sorted(unknown))}")
        return value

    @field_validator("site_url")
    @classmethod
    def _no_final_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of the setting."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config['env_prefix']}{field}".upper()

    @property
    def reader_role(self) -> str:
        """Role that may read every dataset; used after a permission check."""
        return f"{self.role_prefix}_reader"

    @property
    def public_role(self) -> str:
        """Role that may read the schemas of public datasets only."""
        return f"{self.role_prefix}_public"

    @property
    def triggers_role(self) -> str:
        """Role that the functions of triggers run as: it may read and write the rows of datasets, nothing else."""
        return f"{self.role_prefix}_triggers"

    @property
    def owner_role(self) -> str:
        """Role that owns everything, in the embedded server. With ``DATABASE_URL`` its user is the owner."""
        return f"{self.role_prefix}_owner"

    @property
    def cascading_roles(self) -> list[str]:
        """The roles that count in sub-groups as well."""
        return [role for role in self.roles_that_cascade_to_sub_groups.split() if role != "none"]

    @property
    def cors_origins(self) -> frozenset[str]:
        """The allowed origins as a set."""
        return frozenset(self.cors_origin_whitelist.split())
