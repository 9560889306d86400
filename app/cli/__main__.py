"""`python -m app.cli`: the same as `headstart`."""

from app.cli.commands import main

if __name__ == "__main__":
    main()
