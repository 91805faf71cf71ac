"""People: everything that talks to them, remembers them, or is fair to them."""

__version__ = "0.1.0"
