"""Errors that tell a user what to change. Anything else that is raised is a fault of this package."""


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
