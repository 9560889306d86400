"""Backups: the database's rows and every stored file that they name, as of one moment (ADR 39)."""

from __future__ import annotations

DATABASE, MANIFEST, FILES = "headstart.db", "backup.json", "storage"
FORMAT = 1
