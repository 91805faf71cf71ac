"""Fixtures that every room of the tests may use."""

from __future__ import annotations

import pytest
import structlog


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Structlog's own default draws tracebacks with every local value, which takes seconds each."""
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
