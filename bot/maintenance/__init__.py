"""Backups, retention, disk budget, integrity check, health and metrics."""
