"""What music makers share: registry, genre tables, audio processing."""
