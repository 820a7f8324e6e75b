"""Errors that tell a user what to change. Anything else that is raised is a fault of this package.

And warnings, which say in as many words what was done all the same."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Bad input: one sentence that names the file or the setting, and the remedy."""

    def __init__(self, sentence: str = ""):
        """A DataLoader raises again what its worker process raised, with that one's traceback for a sentence;
        the sentence stands at its end, and is kept."""
        kind = type(self)
        if sentence.startswith(f"Caught {kind.__name__} in "):
            sentence = sentence.rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].rstrip()
        super().__init__(sentence)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [f"UserError: {self}"]


@contextmanager
def plain_warnings() -> Iterator[None]:
    """For a command: warnings to its user are a line each on stderr, as they come; others are as ever."""
    with warnings.catch_warnings():
        ever = warnings.showwarning

        def show(message, category, *place, **more):
            if category is UserWarning:
                print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                ever(message, category, *place, **more)

        warnings.showwarning = show
        yield
