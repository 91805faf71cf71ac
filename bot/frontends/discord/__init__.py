"""Discord: slash commands, buttons and cards over the studio. Nothing of it is imported until it is used."""

MAX_CONNECTIONS = 24
"""To Discord, kept open and shared: in a rush each new one would cost a handshake first."""
