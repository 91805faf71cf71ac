"""Read and write text metadata in PNG and JPEG files without changing a pixel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from generation.errors import EncodeFailed

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
READ_LIMIT = 1 << 20
"""How many bytes of a user's file are searched for metadata; ours is at the start."""
_COMMENT_NAME = "comment"
_CHUNK_OVERHEAD = 4 + 4 + 4  # bytes of a PNG chunk besides its content
_C2PA_MARKER, _COMMENT_MARKER, _SCAN_MARKER, _APP_MARKERS = 0xEB, 0xFE, 0xDA, range(0xE0, 0xE2)
_MAX_COMMENT_BYTES = 65_533


def is_still(data: bytes) -> bool:
    return data.startswith((PNG, JPEG))


def with_metadata(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """The still with this metadata and without its signature, which would become invalid."""
    if data.startswith(PNG):
        first, *rest = (chunk for kind, chunk in _chunks(data) if kind != b"caBX")
        return b"".join(
            (PNG, first, *(_png_text_chunk(name, text) for name, text in metadata.items()), *rest)
        )
    segments, body = _segments(data)
    kept = [segment for kind, segment in segments if kind != _C2PA_MARKER]
    app_count = sum(kind in _APP_MARKERS for kind, _ in segments[:2])
    comments = [_jpeg_comment(name, text) for name, text in metadata.items()]
    return b"".join((JPEG, *kept[:app_count], *comments, *kept[app_count:], body))


def read_metadata(data: bytes, name: str) -> str:
    """The metadata of this name, or an empty text."""
    try:
        found = _png_metadata(data) if data.startswith(PNG) else _jpeg_metadata(data)
        return next((text.decode() for found_name, text in found if found_name == name.encode()), "")
    except (ValueError, IndexError):
        return ""


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG)
    while at + _CHUNK_OVERHEAD <= len(data):
        end = at + _CHUNK_OVERHEAD + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at:end]
        at = end


def _png_text_chunk(name: str, text: str) -> bytes:
    content = b"iTXt" + name.encode() + b"\0\0\0\0\0" + text.encode()
    return (len(content) - 4).to_bytes(4) + content + zlib.crc32(content).to_bytes(4)


def _png_metadata(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for kind, chunk in _chunks(data):
        if kind == b"IDAT":
            return
        if kind == b"iTXt":
            name, _, rest = chunk[8:-4].partition(b"\0")
            if rest.startswith(b"\0\0\0\0"):
                yield name, rest[4:]


def _segments(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The segments before the pixel data, and the rest."""
    at, found = len(JPEG), list[tuple[int, bytes]]()
    while data[at] == 0xFF and data[at + 1] != _SCAN_MARKER:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        found.append((data[at + 1], data[at:end]))
        at = end
    return found, data[at:]


def _jpeg_comment(name: str, text: str) -> bytes:
    content = (text if name == _COMMENT_NAME else f"{name}={text}").encode()
    if len(content) > _MAX_COMMENT_BYTES:
        raise EncodeFailed("caption", f"{len(content)} bytes of metadata")
    return bytes((0xFF, _COMMENT_MARKER)) + (len(content) + 2).to_bytes(2) + content


def _jpeg_metadata(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for kind, segment in _segments(data)[0]:
        name, separator, text = segment[4:].partition(b"=")
        if kind == _COMMENT_MARKER:
            yield (name, text) if separator else (_COMMENT_NAME.encode(), segment[4:])
