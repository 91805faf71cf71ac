"""Everything ffmpeg and files: mux, fit, probe, mark."""
