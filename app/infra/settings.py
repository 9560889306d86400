"""Every setting, read from the environment (prefix `HEADSTART_`) in this one place."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class Settings(BaseSettings):
    """What an operator may set; the defaults are the embedded footing on one machine."""

    model_config = SettingsConfigDict(env_prefix="HEADSTART_", extra="ignore", frozen=True)

    data_dir: Path = Path("data")
    database_url: str = ""
    """SQLAlchemy URL; empty: SQLite in DATA_DIR."""
    broker_url: str = ""
    """Redis URL of the doorbell; empty: workers poll the database."""
    storage_url: str = ""
    """`s3://bucket/prefix`; empty: a folder in DATA_DIR."""
    storage_endpoint: str = ""
    """Endpoint of an S3-compatible store; credentials come from the usual AWS variables."""
    weights_dir: Path | None = None
    predictor_url: str = ""
    """`http://host:port`; empty: a Unix socket in DATA_DIR."""
    predictor_listen: str = ""
    """Where the predictor listens, in the same form; empty: at PREDICTOR_URL. Replicas that are
    called by one name have none that is theirs alone: `http://0.0.0.0:port`."""

    default_backbone_image: str = "efficientnet_lite0"
    default_backbone_text: str = "all-MiniLM-L6-v2"

    max_upload_bytes: int = 2048 * MIB
    max_request_bytes: int = 64 * MIB
    """Cap on a body with inputs to predict or embed; any other has a MiB at most."""
    max_predict_items: int = 256
    upload_min_bytes_per_second: int = 1024
    upload_grace_seconds: float = 20.0

    lease_seconds: float = Field(default=15.0, gt=0)
    heartbeat_seconds: float = Field(default=5.0, gt=0)
    poll_seconds: float = Field(default=10.0, gt=0)
    """How often a worker on the production footing looks for work that no doorbell announced."""
    drain_seconds: float = Field(default=20.0, ge=0)
    embed_chunk: int = Field(default=2000, gt=0)
    batch_chunk: int = Field(default=500, gt=0)
    """Inputs of a batch that are predicted and committed together."""
    embedding_cache_bytes: int = 20 * 1024 * MIB
    storage_cache_bytes: int = 20 * 1024 * MIB
    """Of what was fetched from an S3-compatible store, kept on the local disk."""
    heads_cache_bytes: int = 2048 * MIB
    prediction_cache_bytes: int = 64 * MIB
    predictor_queue: int = Field(default=1024, gt=0)
    log_level: str = "INFO"

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'headstart.db').resolve()}"

    @property
    def predictor(self) -> str:
        """The predictor's address: `unix:<path>` or `http://host:port`."""
        return self.predictor_url or f"unix:{(self.data_dir / 'predictor.sock').resolve()}"

    @property
    def listen(self) -> str:
        """Where the predictor listens, in the form of `predictor`."""
        return self.predictor_listen or self.predictor

    @property
    def embedded(self) -> bool:
        """Whether workers poll the database because there is no broker."""
        return not self.broker_url


def load_settings() -> Settings:
    """The settings of this process's environment."""
    return Settings()
