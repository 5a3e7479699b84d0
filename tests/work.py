"""Work counted instead of time: the same on every machine, however busy it is."""

import sys
from contextlib import contextmanager


class Count:
    """How often something was done."""

    number = 0

    def wrap(self, function):
        """Return a function that counts its calls."""

        def counting(*args, **options):
            self.number += 1
            return function(*args, **options)

        return counting


@contextmanager
def counted_calls():
    """Count the calls of functions, those in C too, in this thread until the end of the block."""
    count = Count()

    def profile(_, event, __):
        count.number += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        yield count
    finally:
        sys.setprofile(None)
