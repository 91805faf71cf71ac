"""Check the layout of our own C2PA signature: C2PA hashes neither its padding nor its box headers."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_C2PA_BOX_HEADER = b"uuid" + _C2PA + bytes(4) + b"manifest\0" + bytes(8)
_MP4_BOX_ORDER = (b"ftyp", b"uuid", b"moov", b"free", b"mdat")
"""As ffmpeg writes them; C2PA ignores some other boxes."""
_JUMBF_UUID_SUFFIX = bytes.fromhex("00110010800000aa00389b71")
_PLAIN, _SALTED = b"\x03", b"\x13"
_EXPECTED_BOXES = (
    (b"c2pa", _PLAIN, rb"c2pa"),
    (b"c2ma", _PLAIN, rb"urn:c2pa:[0-9a-f-]{36}"),
    (b"c2as", _PLAIN, rb"c2pa\.assertions"),
    (b"cbor", _SALTED, rb"c2pa\.actions\.v2"),
    (b"cbor", _SALTED, rb"c2pa\.hash\.(bmff\.v3|data)"),
    (b"c2cl", _PLAIN, rb"c2pa\.claim\.v2"),
    (b"c2cs", _PLAIN, rb"c2pa\.signature"),
)
_SIGNATURE_PADDING = re.compile(
    rb"\xd2\x84.*[\xa1\xa2]cpad(?P<size>[\x40-\x57]|X.|Y..)(?P<zeros>\0*)(?P<rest>dpad2[\x40-\x57]\0*)?\xf6",
    re.DOTALL,
)
_PNG = b"\x89PNG\r\n\x1a\n"
_APP11, _JPEG_HEAD = b"\xff\xeb", b"JP\x02\x11\0\0\0\x01"


class _UnexpectedLayout(Exception):
    """The signature is not laid out as Matinee writes it."""


def has_expected_layout(data: bytes, suffix: str) -> bool:
    """Whether the layout of a file's signature is exactly what Matinee writes."""
    try:
        store = {".png": _manifest_from_png, ".jpg": _manifest_from_jpeg}.get(suffix, _manifest_from_mp4)(
            data
        )
        return _check_manifest(store)
    except (_UnexpectedLayout, IndexError):
        return False


def _manifest_from_mp4(data: bytes) -> bytes:
    boxes = list(_boxes(data))
    _require(tuple(kind for kind, _ in boxes) == _MP4_BOX_ORDER)
    _require(dict(boxes)[b"free"] == b"")
    box = b"uuid" + boxes[1][1]
    _require(box.startswith(_C2PA_BOX_HEADER))
    return box[len(_C2PA_BOX_HEADER) :]


def _manifest_from_png(data: bytes) -> bytes:
    at = len(_PNG)
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 8 + size
        if kind == b"caBX":
            _require(zlib.crc32(data[at + 4 : end]) == int.from_bytes(data[end : end + 4]))
            return data[at + 8 : end]
        at = end + 4
    raise _UnexpectedLayout


def _manifest_from_jpeg(data: bytes) -> bytes:
    at = 2
    while data[at : at + 2] != _APP11:
        _require(data[at] == 0xFF)
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
    _require(data[at + 4 : at + 12] == _JPEG_HEAD and data[end : end + 2] != _APP11)
    return data[at + 12 : end]


def _check_manifest(store: bytes) -> bool:
    descriptions = list(_descriptions(store))
    _require(len(descriptions) == len(_EXPECTED_BOXES))
    for (kind, toggles, label), found in zip(_EXPECTED_BOXES, descriptions, strict=True):
        _require(found[:4] == kind and found[4:16] == _JUMBF_UUID_SUFFIX and found[16:17] == toggles)
        _require(re.fullmatch(label + rb"\0(\0\0\0\x18c2sh.{16})?", found[17:], re.DOTALL) is not None)
    *_, (_, manifest) = _boxes(store[8:])
    *_, (_, signature_box) = _boxes(manifest)
    *_, (kind, signature) = _boxes(signature_box)
    _require(kind == b"cbor")
    return _has_zero_padding(signature)


def _has_zero_padding(signature: bytes) -> bool:
    found = _SIGNATURE_PADDING.match(signature)
    return found is not None and len(found["zeros"]) == _length(found["size"])


def _length(size: bytes) -> int:
    return int.from_bytes(size[1:]) if len(size) > 1 else size[0] - 0x40


def _descriptions(boxes: bytes) -> Iterator[bytes]:
    """The description of every superbox, outermost first."""
    for kind, body in _boxes(boxes):
        if kind == b"jumb":
            yield from _descriptions(body)
        elif kind == b"jumd":
            yield body


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Split `data` into boxes, which must fill it exactly."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        _require(size >= 8 and at + size <= len(data))
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _require(condition: bool) -> None:  # noqa: FBT001  (it reads as a sentence)
    if not condition:
        raise _UnexpectedLayout
