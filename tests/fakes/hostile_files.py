"""Small files that cost a decoder much time or memory, or crash it, built from bytes."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"


def crc(data: bytes, *, bits: int, polynomial: int) -> bytes:
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & top else value << 1) & mask
    return value.to_bytes(bits // 8)


def flac(rate: int, *, frame_rate: int | None = None, frames: int = 1) -> bytes:
    """FLAC frames of 65,536 equal samples in 13 bytes each; `frame_rate` is what each frame says itself."""
    info = struct.pack(">HH", 65_535, 65_535) + bytes(6)
    info += ((rate << 44) | (15 << 36) | 65_535).to_bytes(8) + bytes(16)
    file = b"fLaC" + bytes((0x80,)) + len(info).to_bytes(3) + info
    for number in range(frames):
        head = bytes((0xFF, 0xF8, 0x70 | (0xD if frame_rate else 0), 0x08, number)) + b"\xff\xfe"
        head += frame_rate.to_bytes(2) if frame_rate else b""
        frame = head + crc(head, bits=8, polynomial=0x07) + b"\x00\x12\x34"
        file += frame + crc(frame, bits=16, polynomial=0x8005)
    return file


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return (len(body) + 8).to_bytes(4) + kind + body


def mp4(*, samples: int = 1, durations: int | None = None, sound: bool = True) -> bytes:
    """An MP4 of one sound whose index claims `samples` samples of one byte."""
    word = struct.pack
    entry = bytes(6) + word(">H", 1) + bytes(8) + word(">HHHHI", 1, 16, 0, 0, 8_000 << 16)
    video = bytes(6) + word(">H", 1) + bytes(16) + word(">HH", 64, 64) + bytes(50)
    table = box(
        b"stbl",
        box(b"stsd", word(">II", 0, 1), box(b"sowt", entry) if sound else box(b"mp4v", video)),
        box(b"stts", word(">IIII", 0, 1, durations or samples, 1)),
        box(b"stsc", word(">IIIII", 0, 1, 1, samples, 1)),
        box(b"stsz", word(">III", 0, 1, samples)),
        box(b"stco", word(">III", 0, 1, 1_000)),
    )
    handler = box(b"hdlr", bytes(8), b"soun" if sound else b"vide", bytes(13))
    kind = box(b"smhd", bytes(8)) if sound else box(b"vmhd", bytes(12))
    media = box(
        b"mdia", box(b"mdhd", word(">IIIIII", 0, 0, 0, 8_000, samples, 0)), handler, box(b"minf", kind, table)
    )
    track = box(b"trak", box(b"tkhd", word(">IIIIII", 3, 0, 0, 1, 0, samples), bytes(60)), media)
    header = box(b"mvhd", word(">IIIII", 0, 0, 0, 1_000, 1_000), bytes(80))
    file = box(b"ftyp", b"isom", bytes(4), b"isom") + box(b"moov", header, track)
    return file + box(b"mdat", bytes(max(0, 2_000 - len(file))))


def repeated_scans(*, side: int = 2_000, size: int = 487_000) -> bytes:
    """A progressive JPEG of one colour whose last scan is repeated until the file has `size` bytes."""
    data = io.BytesIO()
    Image.new("RGB", (side, side), "orange").save(data, "JPEG", progressive=True, quality=30)
    picture = data.getvalue()[:-2]
    last_scan = picture[picture.rindex(b"\xff\xda") :]
    return picture + last_scan * ((size - len(picture)) // len(last_scan)) + b"\xff\xd9"


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)


def png(width: int, height: int, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    rows = zlib.compress(bytes(min(1_000_000, height * (4 * width + 1))), 9)
    return PNG + header + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def webp(side: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + (side - 1).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(rate: int, channels: int = 1) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    data = bytes(50_000)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def recipe_png(text: str) -> bytes:
    return png(8, 8, chunk(b"iTXt", b"synopsis\0\0\0\0\0" + text.encode()))


PICTURES = {
    "repeated scans": repeated_scans(),
    "huge png": png(50_000, 50_000),
    "many chunks": png(8, 8, *(chunk(b"tEXt", b"a\0b") for _ in range(30_000))),
    "compressed text": png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9))),
    "huge webp": webp(16_000),
}
SOUNDS = {
    "flac of 25 Hz": flac(25),
    "flac whose frames say 25 Hz": flac(44_100, frame_rate=25, frames=8),
    "wav of 1 Hz": wav(1),
    "wav of 30,000 channels": wav(8_000, 30_000),
    "mp4 of 80 million samples": mp4(samples=80_000_000),
    "mp4 of 2 billion durations": mp4(durations=2_000_000_000),
}
RECIPES = {
    "mp4 of 80 million frames": mp4(samples=80_000_000, sound=False),
    "deep json": recipe_png("[" * 100_000),
    "mp4 of a deep tree": b"\0\0\0\x14ftypisom\0\0\0\0isom" + box(b"moov", b"\0\0\1\0trak" * 30),
}


def encoded(kind: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, kind)
    return data.getvalue()


OTHER_PICTURES = {
    "compressed colour profile": png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(200_000_000), 9))),
    "compressed iTXt": png(8, 8, chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(200_000_000), 9))),
    "apng of 2 billion frames": png(8, 8, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
    **{kind: encoded(kind) for kind in ("GIF", "TIFF", "BMP", "PCX", "PPM", "TGA")},
    "avif": b"\0\0\0\x20ftypavif" + bytes(50),
    "heic": b"\0\0\0\x18ftypheic" + bytes(50),
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "pdf": b"%PDF-1.4\n",
    "zip": b"PK\x03\x04" + bytes(50),
}
OTHER_SOUNDS = {
    "avi": b"RIFF" + struct.pack("<I", 500) + b"AVI " + bytes(500),
    "matroska": b"\x1aE\xdf\xa3" + bytes(500),
    "id3 of 256 MB": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(5_000),
    "200,000 id3": b"ID3\x04\0\0\0\0\0\0" * 200_000,
    "wav without data": wav(8_000)[:36],
    "subtitles": b"1\n00:00:00,0 --> 00:00:01,0\nhi\n",
    "zip": b"PK\x03\x04" + bytes(50),
}


def playlists(address: str) -> dict[str, bytes]:
    """Files that make a player open another file or an address."""
    hls = f"#EXTM3U\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n".encode()
    return {
        "hls": hls,
        "hls behind an id3": b"ID3\x03\0\0\0\0\0\0" + hls,
        "ffconcat": f"ffconcat version 1.0\nfile {address}\n".encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5 RTP/AVP 0\n",
        "dash": f"<MPD><BaseURL>{address}</BaseURL></MPD>".encode(),
    }


def damaged(files: dict[str, bytes], count: int, seed: int) -> Iterator[bytes]:
    """The files again and again, each with a few other bytes or cut off."""
    chance = random.Random(seed)
    originals = list(files.values())
    for number in range(count):
        data = bytearray(originals[number % len(originals)])
        for _ in range(number // len(originals)):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        yield bytes(data if number % 3 else data[: max(20, len(data) - number)])
