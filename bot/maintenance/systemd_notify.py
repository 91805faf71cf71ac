"""Notify systemd that the process is ready, alive or stopping; do nothing without systemd."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SystemdNotifier:
    address: str | None

    @classmethod
    def from_environment(cls) -> SystemdNotifier:
        """Removes the variable from the environment, so that no child process notifies systemd."""
        return cls(os.environ.pop("NOTIFY_SOCKET", None))

    def notify(self, message: str) -> None:
        if not self.address:
            return
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)  # a busy systemd must not block
            out.sendto(message.encode(), name)
