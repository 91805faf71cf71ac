"""One second of a tone as a WAV file."""

from __future__ import annotations

import io
import math
import struct
import wave

RATE = 8000


def wav_bytes() -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        samples = (int(9000 * math.sin(2 * math.pi * 330 * n / RATE)) for n in range(RATE))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return data.getvalue()
