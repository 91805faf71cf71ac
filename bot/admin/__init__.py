"""The admin commands: one table that every frontend uses."""
