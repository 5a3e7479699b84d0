"""``recognizer``, and ``python -m recognizer``: the command line, from its first import on."""

import sys


def main() -> None:
    """Run the command line, and exit; Ctrl-C ends it even while it is being imported."""
    try:
        from recognizer.commands import main as run  # noqa: PLC0415 - what may be interrupted
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
