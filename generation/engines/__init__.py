"""Where clips are rendered: the Engine protocol and its implementations."""
