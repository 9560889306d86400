"""The rules of the house that no linter states: `make check` runs them, in seconds."""
