"""Picture models: each file is one family, helpers are in `common`."""
