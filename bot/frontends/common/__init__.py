"""What the chat frontends share: each thing that more than one chat does is written here once.

Nothing in this folder imports a chat's library.
"""
