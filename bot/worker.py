"""Claim, render, settle: as many at a time as the engine has slots."""
