"""What the chat frontends share."""
