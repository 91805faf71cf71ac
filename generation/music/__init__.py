"""Music makers: each file or folder is one maker, helpers are in `common`."""
