"""The child process: orders in by JSON lines; progress, clips and errors out."""
