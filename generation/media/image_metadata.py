"""Words beside the picture in a still's own file: the pixels stay as they are, to the bit."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from generation.errors import EncodeFailed

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
READ = 1 << 20
"""How far into a stranger's file words are looked for; ours stand at its head."""
_COMMENT = "comment"
_SIZE = 4 + 4 + 4  # what a chunk of a PNG has besides its content
_MARKED, _SAID, _PIXELS, _APPS = 0xEB, 0xFE, 0xDA, range(0xE0, 0xE2)
_MOST = 65_533


def is_still(data: bytes) -> bool:
    return data.startswith((PNG, JPEG))


def captioned(data: bytes, words: Mapping[str, str]) -> bytes:
    """The same still with these words in it and without its mark, which they would break."""
    if data.startswith(PNG):
        first, *rest = (chunk for kind, chunk in _chunks(data) if kind != b"caBX")
        return b"".join((PNG, first, *(_text(name, text) for name, text in words.items()), *rest))
    heads, body = _segments(data)
    kept = [segment for kind, segment in heads if kind != _MARKED]
    opening = sum(kind in _APPS for kind, _ in heads[:2])
    said = [_said(name, text) for name, text in words.items()]
    return b"".join((JPEG, *kept[:opening], *said, *kept[opening:], body))


def caption(data: bytes, name: str) -> str:
    """What a still says under this name; empty where it says nothing."""
    try:
        found = _in_png(data) if data.startswith(PNG) else _in_jpeg(data)
        return next((text.decode() for told, text in found if told == name.encode()), "")
    except (ValueError, IndexError):
        return ""


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG)
    while at + _SIZE <= len(data):
        end = at + _SIZE + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at:end]
        at = end


def _text(name: str, text: str) -> bytes:
    content = b"iTXt" + name.encode() + b"\0\0\0\0\0" + text.encode()
    return (len(content) - 4).to_bytes(4) + content + zlib.crc32(content).to_bytes(4)


def _in_png(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for kind, chunk in _chunks(data):
        if kind == b"IDAT":
            return
        if kind == b"iTXt":
            name, _, rest = chunk[8:-4].partition(b"\0")
            if rest.startswith(b"\0\0\0\0"):
                yield name, rest[4:]


def _segments(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """What stands before the pixels, and the rest."""
    at, found = len(JPEG), list[tuple[int, bytes]]()
    while data[at] == 0xFF and data[at + 1] != _PIXELS:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        found.append((data[at + 1], data[at:end]))
        at = end
    return found, data[at:]


def _said(name: str, text: str) -> bytes:
    content = (text if name == _COMMENT else f"{name}={text}").encode()
    if len(content) > _MOST:
        raise EncodeFailed("caption", f"{len(content)} bytes of words")
    return bytes((0xFF, _SAID)) + (len(content) + 2).to_bytes(2) + content


def _in_jpeg(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for kind, segment in _segments(data)[0]:
        name, gap, text = segment[4:].partition(b"=")
        if kind == _SAID:
            yield (name, text) if gap else (_COMMENT.encode(), segment[4:])
