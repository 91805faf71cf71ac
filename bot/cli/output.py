"""What a terminal command reports while it runs."""

from __future__ import annotations

from generation.progress import Progress


class Output:
    """Prints nothing, for --json and --quiet. Subclasses print."""

    def print_note(self, text: str) -> None:
        """Print a sentence for the user."""

    def show_progress(self, progress: Progress) -> None:
        """Show the progress of the job."""

    def close(self) -> None:
        """Called after the last output."""
