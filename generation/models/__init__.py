"""Picture models, one file a family."""
