"""Prompt rules, clip inspection, reports and appeals."""
