"""Music makers, one file or folder each."""
