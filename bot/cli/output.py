"""What a terminal command reports while it runs."""

from __future__ import annotations

from generation.progress import Progress


class Output:
    """Says nothing; what a machine or a quiet person gets."""

    def print_note(self, text: str) -> None:
        """A sentence for the person."""

    def show_progress(self, progress: Progress) -> None:
        """How far it is."""

    def close(self) -> None:
        """The last word was said."""
