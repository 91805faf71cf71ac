"""The chats, the terminal and the page: one folder or file a platform."""
