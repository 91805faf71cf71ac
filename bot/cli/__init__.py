"""The terminal: `matinee make`, and a look at everything the studio keeps."""
