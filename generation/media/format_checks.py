"""Checks of a file's headers before any decoder opens it: is what it claims possible for its size?

A few bytes can claim a picture, a sound or an index that takes a decoder gigabytes or minutes. Only the
headers are read here, with no library. Every function raises AttachmentRefused without a name, which the
caller adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from generation.errors import AttachmentRefused

MAX_PIXELS = 16_000_000
MAX_SCANS = 100
MAX_SCANNED_PIXELS = 20 * MAX_PIXELS
"""Pixels times scans of a JPEG: each scan passes over the whole picture. A usual progressive one has ten."""
MAX_PARTS = 20_000
"""Chunks, boxes or frames of one file."""
SAMPLE_RATES = range(8_000, 192_001)
MAX_CHANNELS = 8
MAX_BOX_DEPTH = 12

UNREADABLE_IMAGE = "it is no readable PNG, JPEG or WebP picture"
TOO_MANY_PIXELS = "it has more than 16 million pixels"
TOO_COSTLY = "too costly"
BAD_SAMPLE_RATE = "sample rate"
DAMAGED = "damaged"

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_SCAN_START, _IMAGE_END = 0xDA, 0xD9
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_CONTAINERS = frozenset(
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex", b"moof", b"traf", b"udta")
)
_ENTRY_BYTES = {
    b"stts": 8,
    b"ctts": 8,
    b"stsc": 12,
    b"stco": 4,
    b"co64": 8,
    b"stss": 4,
    b"elst": 12,
    b"stps": 4,
    b"sbgp": 8,
}
"""Tables of an MP4 that begin with a count of entries of this size."""
_SAMPLE_COUNTS = frozenset({b"stts", b"ctts", b"sbgp"})
"""Of these each entry begins with a number of samples."""


def check_picture(data: bytes) -> tuple[int, int]:
    """Check a PNG, JPEG or WebP and return its width and height."""
    if data.startswith(PNG):
        width, height = _check_png(data)
    elif data.startswith(JPEG):
        width, height = _check_jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        width, height = _check_webp(data)
    else:
        _refuse(UNREADABLE_IMAGE)
    if width < 1 or height < 1:
        _refuse(UNREADABLE_IMAGE)
    if width * height > MAX_PIXELS:
        _refuse(TOO_MANY_PIXELS)
    return width, height


def check_sound(data: bytes) -> None:
    """Check what the headers of a FLAC, WAV or MP4 claim; of other kinds only the decoder can tell."""
    if data.startswith(b"fLaC"):
        _check_flac(data)
    elif data.startswith(b"RIFF"):
        _check_wav(data)
    elif data[4:8] == b"ftyp":
        check_mp4(data)


def check_sample_rate(rate: int, channels: int) -> None:
    """Check the rate and the channels of a stream, which a decoder multiplies with everything else."""
    if rate not in SAMPLE_RATES:
        _refuse(BAD_SAMPLE_RATE)
    if not 1 <= channels <= MAX_CHANNELS:
        _refuse(TOO_COSTLY)


def check_mp4(data: bytes) -> None:
    """Check the tables of an MP4: their entries against their bytes, their samples against the file's."""
    samples = 0
    for number, (kind, start, end) in enumerate(_boxes(data, 0, len(data), 0)):
        if number > MAX_PARTS:
            _refuse(TOO_COSTLY)
        claimed = _claimed_samples(data, kind, start, end)
        samples += claimed
        if claimed > len(data) or samples > 8 * len(data):
            _refuse(TOO_COSTLY)


def _refuse(reason: str) -> NoReturn:
    raise AttachmentRefused("", reason)


def _check_png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR" or len(data) < 33:
        _refuse(UNREADABLE_IMAGE)
    at, parts = len(PNG), 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        parts += 1
        if parts > MAX_PARTS:
            _refuse(TOO_COSTLY)
        if at + 12 + length > len(data):
            _refuse(UNREADABLE_IMAGE)
        if kind == b"acTL" and int.from_bytes(data[at + 8 : at + 12]) > MAX_PARTS:
            _refuse(TOO_COSTLY)
        if kind == b"IEND":
            break
        at += 12 + length
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _check_jpeg(data: bytes) -> tuple[int, int]:
    size: tuple[int, int] | None = None
    scans = parts = 0
    at = 2
    while found := _NEXT_MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        parts += 1
        if parts > MAX_PARTS:
            _refuse(TOO_COSTLY)
        if marker == _IMAGE_END:
            break
        if marker in _STANDALONE_MARKERS:
            continue
        if marker in _FRAME_MARKERS:
            if size is not None or at + 7 > len(data):
                _refuse(UNREADABLE_IMAGE)
            size = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 3 : at + 5])
            if size[0] * size[1] > MAX_PIXELS:
                _refuse(TOO_MANY_PIXELS)
        scans += marker == _SCAN_START
        at += max(2, int.from_bytes(data[at : at + 2]))
    if size is None or not scans:
        _refuse(UNREADABLE_IMAGE)
    if scans > MAX_SCANS or scans * size[0] * size[1] > MAX_SCANNED_PIXELS:
        _refuse(TOO_COSTLY)
    return size


def _check_webp(data: bytes) -> tuple[int, int]:
    at, parts = 12, 0
    size: tuple[int, int] | None = None
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 18]
        parts += 1
        if parts > MAX_PARTS:
            _refuse(TOO_COSTLY)
        found = _webp_size(kind, body)
        if found is not None:
            if found[0] * found[1] > MAX_PIXELS:
                _refuse(TOO_MANY_PIXELS)
            size = size or found
        at += 8 + length + length % 2
    if size is None:
        _refuse(UNREADABLE_IMAGE)
    return size


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
        return width & 0x3FFF, height & 0x3FFF
    return None


def _check_flac(data: bytes) -> None:
    info = data[8:42]
    if len(info) < 34 or data[4] & 0x7F:
        _refuse(DAMAGED)
    check_sample_rate(int.from_bytes(info[10:13]) >> 4, (info[12] >> 1 & 7) + 1)
    at, parts = 4, 0
    while at + 4 <= len(data):
        parts += 1
        if parts > MAX_PARTS:
            _refuse(TOO_COSTLY)
        last = data[at] & 0x80
        at += 4 + int.from_bytes(data[at + 1 : at + 4])
        if last:
            break


def _check_wav(data: bytes) -> None:
    at, parts = 12, 0
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        parts += 1
        if parts > MAX_PARTS:
            _refuse(TOO_COSTLY)
        if kind == b"fmt " and at + 24 <= len(data):
            channels = int.from_bytes(data[at + 10 : at + 12], "little")
            check_sample_rate(int.from_bytes(data[at + 12 : at + 16], "little"), channels)
            return
        at += 8 + length + length % 2


def _boxes(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """Each box with the bounds of its content, those inside a container included."""
    if depth > MAX_BOX_DEPTH:
        _refuse(TOO_COSTLY)
    at = start
    while at + 8 <= end:
        length, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16]), 16
        elif length == 0:
            length = end - at
        if length < head:
            return  # a terminator of a list of tags, or damage that the decoder reports
        stop = min(at + length, end)
        yield kind, at + head, stop
        if kind in _CONTAINERS:
            yield from _boxes(data, at + head, stop, depth + 1)
        at += length


def _claimed_samples(data: bytes, kind: bytes, start: int, end: int) -> int:
    """The number of samples that a table claims. Refuses one with more entries than its bytes hold."""
    if kind in {b"stsz", b"stz2"}:
        count, each = (
            int.from_bytes(data[start + 8 : start + 12]),
            int.from_bytes(data[start + 4 : start + 8]),
        )
        if kind == b"stsz" and each == 0 and count * 4 > end - start:
            _refuse(TOO_COSTLY)
        return count
    if kind == b"trun":
        return int.from_bytes(data[start + 4 : start + 8])
    if kind not in _ENTRY_BYTES:
        return 0
    grouping = 4 + 4 * data[start] if kind == b"sbgp" and start < end else 0
    count = int.from_bytes(data[start + 4 + grouping : start + 8 + grouping])
    each = _ENTRY_BYTES[kind]
    first = start + 8 + grouping
    if count * each > max(0, end - first):
        _refuse(TOO_COSTLY)
    if kind not in _SAMPLE_COUNTS:
        return 0
    return sum(int.from_bytes(data[at : at + 4]) for at in range(first, first + count * each, each))
