"""Paths of the repository and its shipped configuration."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
