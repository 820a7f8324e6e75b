"""Errors that tell a user what to change. Anything else that is raised is a fault of this package."""


class UserError(ValueError):
    """Bad input: one sentence that names the file or the setting, and the remedy."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [f"UserError: {self}"]
