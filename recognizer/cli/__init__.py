"""The commands of the core, each a function ``VERB_command`` or an ``app``; thin, and typer's."""

from enum import IntEnum


class ExitCode(IntEnum):
    DONE = 0
    INTERNAL_ERROR = 1  # or the scan's file was moved or replaced in mid-scan
    USAGE = 2  # an option, a policy, a scan's file, a data folder, an extra that is not installed
    SOME_FAILED = 3  # all is done, and the inputs that failed are reported
    MODEL = 4  # it is missing or was changed
    INTERRUPTED = 130
