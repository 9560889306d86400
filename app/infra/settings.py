"""Every setting, read from the environment (prefix `HEADSTART_`) in this one place."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core import secret_keys
from app.core.backbones import BACKBONES
from app.core.errors import HeadstartError
from app.core.hyperparameters import METHODS
from app.infra.lanes import WORK_KINDS, Accelerator, Lanes
from app.infra.precision import Choice
from app.infra.short_socket import socket_path

MIB = 1024 * 1024
_PREFIX = "HEADSTART_"
_BUCKET = re.compile(r"[A-Za-z0-9._:-]+")
_DATABASE = re.compile(
    r"sqlite(\+\w+)?:///.*"
    r"|postgresql(\+\w+)?://([^:/]*(:[^@]*)?@)?(\[[^/?]+\]|[^/:?]+)?(:\d+)?(/[^?]*)?(\?.*)?"
)
"""What SQLAlchemy's parser takes of the two, which processes without a database do not have."""
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_OWN_PATHS = frozenset({"v1", "v2", "docs", "livez", "readyz", "metrics", "openapi.json"}) | {
    "customvision", "embed", "health", "info", "invocations", "mlflow", "models", "ping", "predict",
    "tei", "version",
}  # fmt: skip


class Settings(BaseSettings):
    """What an operator may set; the defaults are the embedded footing on one machine."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore", frozen=True)

    data_dir: Path = Path("data")
    database_url: str = ""
    """SQLAlchemy URL; empty: SQLite in DATA_DIR."""
    broker_url: str = ""
    """Redis URL of the doorbell; empty: workers poll the database."""
    storage_url: str = ""
    """`s3://bucket/prefix`; empty: a folder in DATA_DIR."""
    storage_endpoint: str = ""
    """Endpoint of an S3-compatible store; credentials come from the usual AWS variables."""
    secrets_key: SecretStr = SecretStr("")
    """Keys, by commas and newest first, that secrets in the database are sealed with; empty: that
    of SECRETS_KEY_FILE or of the file `secrets-key` in DATA_DIR, which is made where the database
    is in DATA_DIR, too."""
    secrets_key_file: Path | None = None
    """A file of such keys, one a line."""
    weights_dir: Path | None = None
    allow_hub_code: bool = False
    """Whether a `hubconf.py` in WEIGHTS_DIR may run: it does what it likes."""
    predictor_url: str = ""
    """`http://host:port`; empty: a Unix socket in DATA_DIR, or, where its path would be too long,
    in a private folder in the system's temporary one."""
    predictor_listen: str = ""
    """Where the predictor listens, in the same form; empty: at PREDICTOR_URL. Replicas that are
    called by one name have none that is theirs alone: `http://0.0.0.0:port`."""

    default_backbone_image: str = "efficientnet_lite0"
    default_backbone_text: str = "all-MiniLM-L6-v2"
    default_model: str = "default"
    """The alias of the caller's organisation that paths of services of one model mean (`/predict`,
    `/invocations`)."""
    prediction_backbones: str = ""
    """Backbones, by commas, that `auto` is made of and that the predictor loads as it starts: a
    prediction of an `auto` model passes through each of its modality. Empty: the default ones, and
    multilingual-e5-small beside that of texts."""
    precision: Choice = "auto"
    """What embeddings are computed in and new models fitted on; bf16 needs units for it. A model is
    answered in its own, where there are units."""

    root_path: str = ""
    """The prefix under which a proxy shows the service (`/headstart`), whether it strips it or not;
    links, docs and the OpenAPI document name it."""
    trusted_proxies: str = "127.0.0.1,::1"
    """Addresses and networks, by commas, whose `Forwarded` and `X-Forwarded-*` are believed."""
    cors_origins: str = ""
    """Origins, by commas, whose pages may call the service from a browser; `*` is all of them."""
    webhook_networks: str = ""
    """Networks, by commas, that are not public and that webhooks may reach all the same, such as
    `10.1.0.0/16`; empty: public addresses only."""
    keep_alive_seconds: int = Field(default=75, gt=0)
    """How long an idle connection stays open: longer than proxies keep theirs (60 s mostly)."""

    max_upload_bytes: int = Field(default=2048 * MIB, gt=0)
    pending_upload_bytes: int = Field(default=8192 * MIB, gt=0)
    """What the parts of an organisation's unfinished uploads may hold together."""
    max_request_bytes: int = Field(default=64 * MIB, gt=0)
    """Cap on a body with inputs to predict or embed; any other has a MiB at most."""
    max_predict_items: int = Field(default=256, gt=0)
    upload_min_bytes_per_second: int = Field(default=1024, gt=0)
    """The least rate of any body, an upload's or not, once UPLOAD_GRACE_SECONDS are over."""
    upload_grace_seconds: float = Field(default=20.0, gt=0)

    fetch_urls: Literal["public", "any", "none"] = "public"
    """Where images are fetched from that requests name by a URL: public addresses, any, nowhere."""

    lease_seconds: float = Field(default=15.0, gt=0)
    heartbeat_seconds: float = Field(default=5.0, gt=0)
    poll_seconds: float = Field(default=10.0, gt=0)
    """How often a worker on the production footing looks for work that no doorbell announced."""
    drain_seconds: float = Field(default=20.0, ge=0)
    worker_kinds: str = ""
    """Kinds of work, by commas, that a trainer takes; empty: all."""
    worker_accelerator: Accelerator = "any"
    """Whether a trainer takes what wants a GPU (`gpu`), all but that (`cpu`), or both."""
    gpu_methods: str = ",".join(name for name, spec in METHODS.items() if spec.depth)
    """Methods, by commas, whose jobs want a GPU: those that tune the network."""
    gpu_backbones: str = ""
    """Backbones, by commas, that want a GPU whatever is done with them."""
    idle_exit_seconds: float = Field(default=0.0, ge=0)
    """After how long without work a trainer ends, with status 0; 0: never."""
    fit_seconds: float = Field(default=1800.0, gt=0)
    """What a job's fit may take: others wait for the same worker."""
    embed_seconds: float = Field(default=10.0, gt=0)
    """What one input may take in a backbone, on top of a minute: one that takes longer over what it
    reads at once is ended, since others wait for the same worker."""
    tuning_keep_seconds: float = Field(default=10.0, ge=0)
    """The least time between two states that a tuning keeps: a killed one has that to do again."""
    embed_chunk: int = Field(default=2000, gt=0)
    batch_chunk: int = Field(default=500, gt=0)
    """Inputs of a batch that are predicted and committed together."""
    embedding_cache_bytes: int = Field(default=20 * 1024 * MIB, ge=0)
    storage_cache_bytes: int = Field(default=20 * 1024 * MIB, ge=0)
    """Of what was fetched from an S3-compatible store, kept on the local disk."""
    heads_cache_bytes: int = Field(default=2048 * MIB, ge=0)
    """Of heads in a predictor's memory. On a CPU its own memory stays within a GiB more: beyond it
    heads and networks make way, least recently used first."""
    prediction_cache_bytes: int = Field(default=64 * MIB, ge=0)
    predictor_queue: int = Field(default=1024, gt=0)
    predictor_wait_seconds: float = Field(default=1.0, gt=0)
    """How long a prediction may wait for others before it; whoever would wait longer is told
    `overloaded` at once. A request says its own by `Prefer: wait=N`."""
    quota_stored_bytes: int = Field(default=0, ge=0)
    """Of uploads that an organisation may hold; 0: any number. So with those that follow."""
    quota_examples: int = Field(default=0, ge=0)
    quota_jobs: int = Field(default=1000, ge=0)
    """Jobs and batches at once that have not ended."""
    quota_keys: int = Field(default=1000, ge=0)
    quota_requests_per_minute: int = Field(default=0, ge=0)
    """Requests that predict or embed."""
    audit_days: int = Field(default=365, ge=0)
    """How long the audit log keeps an entry; 0: for ever."""
    usage_days: int = Field(default=1096, ge=0)
    """How long usage records are kept; 0: for ever."""
    log_level: str = "INFO"
    otlp_endpoint: str = ""
    """Where traces go (OTLP over HTTP), such as `http://collector:4318`; empty: there are none."""

    @field_validator("log_level")
    @classmethod
    def _level(cls, name: str) -> str:
        if name.upper() not in logging.getLevelNamesMapping():
            raise ValueError("it is one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
        return name.upper()

    @field_validator("otlp_endpoint")
    @classmethod
    def _collector(cls, text: str) -> str:
        parts = urlsplit(text)
        if text and not (parts.scheme in ("http", "https") and parts.netloc):
            raise ValueError("it is like http://collector:4318")
        if text and find_spec("opentelemetry") and find_spec("opentelemetry.sdk"):
            return text
        if text:
            raise ValueError("traces need OpenTelemetry: pip install 'headstart[traces]'")
        return text

    @field_validator("root_path")
    @classmethod
    def _path(cls, path: str) -> str:
        path = path.rstrip("/")
        if not _ROOT_PATH.fullmatch(path):
            raise ValueError("it is a path like /headstart, of letters, digits and . _ ~ - /")
        if path.split("/")[1:2] and path.split("/")[1] in _OWN_PATHS:
            raise ValueError(f"/{path.split('/')[1]} is a path of the service itself")
        return path

    @field_validator("secrets_key")
    @classmethod
    def _keys(cls, told: SecretStr) -> SecretStr:
        secret_keys.several(told.get_secret_value())
        return told

    @field_validator("worker_kinds")
    @classmethod
    def _kinds(cls, text: str) -> str:
        return _among(WORK_KINDS, text, "kind of work")

    @field_validator("gpu_methods")
    @classmethod
    def _methods(cls, text: str) -> str:
        return _among(METHODS, text, "method")

    @field_validator("prediction_backbones", "gpu_backbones")
    @classmethod
    def _backbones(cls, text: str, info: ValidationInfo) -> str:
        """Names of ours, or of folders that the operator has put there."""
        folder = info.data.get("weights_dir")
        for name in split_list(text):
            if name not in BACKBONES and not (folder and (folder / name).is_dir()):
                raise ValueError(f"no backbone is called {name!r}; known: {', '.join(BACKBONES)}")
        return text

    @field_validator("trusted_proxies", "webhook_networks")
    @classmethod
    def _networks(cls, text: str) -> str:
        for one in split_list(text):
            ip_network(one, strict=False)
        return text

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        for one in split_list(text):
            parts = urlsplit(one)
            if one != "*" and (not parts.netloc or parts.path or parts.query):
                raise ValueError(f"{one!r} is no origin; one is like https://app.example.com")
        return text

    @field_validator("predictor_url", "predictor_listen")
    @classmethod
    def _address(cls, text: str) -> str:
        parts = urlsplit(text)
        if text and not text.startswith("unix:") and not (parts.scheme == "http" and parts.port):
            raise ValueError("it is like http://host:port, or unix:/path")
        return text

    @field_validator("database_url")
    @classmethod
    def _database(cls, text: str) -> str:
        if text and not _DATABASE.fullmatch(text):
            raise ValueError("it is like postgresql://user:password@host/name, or sqlite:////path")
        return text

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, text: str) -> str:
        known = urlsplit(text).scheme in ("redis", "rediss", "unix", "memory")
        if text and not (known and _has_port_or_none(text)):
            raise ValueError("it is like redis://host:6379/0")
        return text

    @field_validator("storage_url")
    @classmethod
    def _storage(cls, text: str) -> str:
        bucket = urlsplit(text).netloc
        if text and not (urlsplit(text).scheme == "s3" and _BUCKET.fullmatch(bucket)):
            raise ValueError("it is like s3://bucket/prefix")
        return text

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'headstart.db').resolve()}"

    @property
    def predictor(self) -> str:
        """The predictor's address: `unix:<path>` or `http://host:port`."""
        return self.predictor_url or f"unix:{socket_path(self.data_dir, 'predictor.sock')}"

    @property
    def listen(self) -> str:
        """Where the predictor listens, in the form of `predictor`."""
        return self.predictor_listen or self.predictor

    @property
    def lanes(self) -> Lanes:
        """The work that a trainer takes, and what of it wants a GPU."""
        return Lanes(
            kinds=split_list(self.worker_kinds) or WORK_KINDS,
            accelerator=self.worker_accelerator,
            methods=split_list(self.gpu_methods),
            backbones=split_list(self.gpu_backbones),
        )

    @property
    def embedded(self) -> bool:
        """Whether workers poll the database because there is no broker."""
        return not self.broker_url


def _has_port_or_none(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def load_settings() -> Settings:
    """The settings of this process's environment. Raises invalid_value, naming the variable."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = _PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        why = first["msg"].removeprefix("Value error, ")
        given = repr(first["input"])
        secret = "@" in given or "secrets_key" in first["loc"]  # it may have a password
        shown = "…" if secret else given
        told = f"{name}={shown}: {why[:1].lower()}{why[1:]}"
        raise HeadstartError("invalid_value", told, param=name) from None


_OTHERS = ("TEST_", "REQUIRE_SERVERS", "FAULTS", "LEASH", "URL", "API_KEY", "LITSERVE_")
"""What follows the prefix in variables that are no settings of the service."""


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that reads like a setting and is none: it is not obeyed."""
    known = {_PREFIX + name.upper() for name in Settings.model_fields}
    told = []
    for name in sorted(environment):
        own = name.startswith(_PREFIX) and not name.removeprefix(_PREFIX).startswith(_OTHERS)
        if own and name not in known:
            close = get_close_matches(name, known, n=1)
            told.append(f"{name} is no setting" + (f"; {close[0]} is" if close else ""))
    return told


def make_folder(data_dir: Path) -> None:
    """Make the data folder, for its owner alone; of one that is there, others are let out.

    It holds labels, paths and keys. What a group may do is left to whoever runs the service.
    Raises storage_unavailable.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = data_dir.stat().st_mode
        if mode & 0o007:
            with suppress(PermissionError):  # somebody else's: theirs to say
                data_dir.chmod(mode & 0o7770)
    except OSError as error:
        why = f"the data folder {data_dir} (HEADSTART_DATA_DIR) cannot be used: {error.strerror}"
        raise HeadstartError("storage_unavailable", why) from None


def settings_or_exit(*, with_folder: bool = False) -> Settings:
    """The same for a process that cannot go on without: one line on standard error, status 1.

    It makes the data folder, too, where that is asked for.
    """
    try:
        settings = load_settings()
        for warning in unknown_settings(os.environ):
            sys.stderr.write(f"headstart: {warning}\n")
        if with_folder:
            make_folder(settings.data_dir)
        return settings
    except HeadstartError as error:
        raise SystemExit(f"headstart: {error.message}") from None


def _among(known: Iterable[str], text: str, what: str) -> str:
    """The text, where it is of names that there are. Raises ValueError."""
    for name in split_list(text):
        if name not in known:
            raise ValueError(f"no {what} is called {name!r}; known: {', '.join(known)}")
    return text


def split_list(text: str) -> tuple[str, ...]:
    """The parts of a setting that is a list by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
