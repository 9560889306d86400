"""Backups: the database's rows and every stored file that they name, as of one moment (ADR 39)."""

from __future__ import annotations

DATABASE, MANIFEST, FILES = "headstart.db", "backup.json", "storage"
KEYS = "secrets-key"
"""Only where it was asked for: beside the rows it opens what they seal."""
FORMAT = 1
