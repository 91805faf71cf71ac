"""Telegram: the studio, at home in a chat. The only folder that imports `telegram`."""

import os

os.environ.setdefault("PTB_TIMEDELTA", "true")  # the library's coming shape of durations, without its warning
