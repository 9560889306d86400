"""The database's history, run by Alembic on SQLite and on Postgres."""
