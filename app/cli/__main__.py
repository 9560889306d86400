"""`python -m app.cli`, and what the command `headstart` runs."""

import signal


def main() -> None:
    """Run the command that the arguments name.

    Ctrl-C ends the process while it imports: an exception that is raised there may be caught there.
    """
    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if raises:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from app.cli import commands

    if raises:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    commands.main()


if __name__ == "__main__":
    main()
