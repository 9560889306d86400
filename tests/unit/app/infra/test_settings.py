"""A setting that makes no sense is one line that names its variable, in every process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.infra.settings import Settings, load_settings, settings_or_exit, unknown_settings
from app.infra.short_socket import socket_path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREDICTOR_QUEUE", "many"),
        ("LOG_LEVEL", "LOUD"),
        ("ROOT_PATH", "headstart"),
        ("ROOT_PATH", "/v1/x"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("CORS_ORIGINS", "https://a.example, b.example"),
        ("PREDICTOR_URL", "predictor:8001"),
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "postgresql://host:port/name"),
        ("DATABASE_URL", "postgresqlhost"),
        ("BROKER_URL", "amqp://host"),
        ("BROKER_URL", "redis://host:65536"),
        ("BROKER_URL", "redis://host:port"),
        ("STORAGE_URL", "bucket"),
        ("STORAGE_URL", "s3://a bucket"),
        ("KEEP_ALIVE_SECONDS", "0"),
        ("LEASE_SECONDS", "nan"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HEADSTART_{name}", value)
    with pytest.raises(HeadstartError, match=f"^HEADSTART_{name}='") as caught:
        load_settings()
    assert "\n" not in caught.value.message
    with pytest.raises(SystemExit, match=f"headstart: HEADSTART_{name}"):
        settings_or_exit()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://me:secret@host/name"),
        ("DATABASE_URL", "postgresql://me:a@b:secret@host/name"),
        ("BROKER_URL", "redis://me:secret/x@host:6379"),
    ],
)
def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HEADSTART_{name}", value)
    with pytest.raises(HeadstartError) as caught:
        load_settings()
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://me:p#a/s?s@host:5432/name?sslmode=require"),
        ("DATABASE_URL", "postgresql:///name?host=/run/postgresql"),
        ("DATABASE_URL", "postgresql+psycopg://[::1]:5432/name"),
        ("DATABASE_URL", "sqlite:////a folder/some.db"),
        ("BROKER_URL", "rediss://:secret@host/0"),
        ("BROKER_URL", "redis://[::1]:6379"),
        ("STORAGE_URL", "s3://some.bucket_1/a prefix"),
    ],
)
def test_what_is_read_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HEADSTART_{name}", value)
    assert getattr(load_settings(), name.lower()) == value


def test_a_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_SECRETS_KEY", "correct horse battery staple")
    with pytest.raises(HeadstartError, match="HEADSTART_SECRETS_KEY=…") as caught:
        load_settings()
    assert "horse" not in caught.value.message


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "app.cli.serve", "--host", "127.0.0.1", "--port", "0"],
        env={
            "HEADSTART_DATA_DIR": str(tmp_path / "file" / "data"),
            "PYTHONPATH": ":".join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "HEADSTART_DATA_DIR" in done.stderr


def test_a_root_path_is_told_in_one_form() -> None:
    assert Settings(root_path="/headstart/").root_path == "/headstart"


def test_a_socket_has_a_path_that_can_be_bound(tmp_path: Path) -> None:
    assert socket_path(tmp_path, "p.sock") == tmp_path.resolve() / "p.sock"
    long = tmp_path / ("é" * 60)
    short = socket_path(long, "p.sock")
    assert len(str(short).encode()) <= 107
    assert short.parent.stat().st_mode & 0o777 == 0o700
    assert socket_path(long, "p.sock") == short != socket_path(tmp_path / ("x" * 120), "p.sock")
    short.parent.chmod(0o755)
    with pytest.raises(HeadstartError, match="not this user's own"):
        socket_path(long, "p.sock")
    short.parent.rmdir()


def test_a_misspelt_setting_is_told_with_the_one_that_is_meant() -> None:
    environment = {"HEADSTART_PRECSION": "f32", "HEADSTART_PRECISION": "f32", "PATH": "/"}
    assert unknown_settings(environment) == [
        "HEADSTART_PRECSION is no setting; HEADSTART_PRECISION is"
    ]
    assert unknown_settings({"HEADSTART_API_KEY": "hs_x", "HEADSTART_URL": "http://x"}) == []
