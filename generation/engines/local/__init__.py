"""The engine that renders in a child process of this machine."""
