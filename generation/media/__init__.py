"""Media files: mux, fit, probe and sign."""
