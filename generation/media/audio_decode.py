"""Decode audio files of users: size limits, audio decoders only, format by content and not by name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.clip import Audio
from generation.errors import AttachmentRefused
from generation.media.format_checks import check_sample_rate, check_sound

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 60_000_000
LONGEST = 600.0  # seconds of a file that are read
RATE = 48_000
_FILE_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"RIFF", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (4, b"ftyp", "mov"),
)
"""Offset, signature, and the only demuxer that may open the file, so that no playlist is ever opened."""
CODECS = frozenset(
    {"aac", "alac", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis"}
    | {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8", "pcm_s16be", "pcm_s24be"}
)


def check_audio_file(path: Path) -> None:
    """Decode all that would be read of the file, keeping none of it; raises AttachmentRefused."""
    if not sum(map(len, decode_audio(path))):
        raise AttachmentRefused(path.name, "without sound")


def read_audio(path: Path, *, longest: float = LONGEST, name: str | None = None) -> Audio:
    """Decode to stereo at 48 kHz, at most `longest` seconds; raises AttachmentRefused.

    For files of the operator's own programs: `guarded_process.read_sound` opens those of users.
    """
    import numpy as np  # noqa: PLC0415  (heavy, and not needed to check a file)

    name = name or path.name
    data = b"".join(decode_audio(path, longest=longest, name=name))
    if not data:
        raise AttachmentRefused(name, "without sound")
    samples = np.frombuffer(data, np.float32).reshape(-1, 2)[: math.floor(longest * RATE)]
    return Audio(np.nan_to_num(samples), RATE)


def decode_audio(path: Path, *, longest: float = LONGEST, name: str | None = None) -> Iterator[bytes]:
    """Pieces of stereo at 48 kHz as interleaved float32, until `longest` seconds are reached."""
    name = name or path.name
    return _decoded(path, _checked_kind(path, name), longest, name)


def _checked_kind(path: Path, name: str) -> str:
    """The only demuxer that may open the file; raises AttachmentRefused."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise AttachmentRefused(name, "too large")
        data = path.read_bytes()
    except OSError as error:
        raise AttachmentRefused(name, "not readable") from error
    kind = _kind(data[:16])
    if kind is None:
        raise AttachmentRefused(name, "not a sound file")
    try:
        check_sound(data)
    except AttachmentRefused as refusal:
        raise AttachmentRefused(name, refusal.reason) from refusal
    return kind


def _kind(head: bytes) -> str | None:
    for offset, mark, kind in _FILE_SIGNATURES:
        if head[offset : offset + len(mark)] == mark:
            return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3" if head[1] & 0x06 else "aac"
    return None


def _decoded(path: Path, kind: str, longest: float, name: str) -> Iterator[bytes]:
    import av  # noqa: PLC0415  (heavy)

    options = (
        {"protocol_whitelist": "file", "enable_drefs": "0"}
        if kind == "mov"
        else {"protocol_whitelist": "file"}
    )
    try:
        with av.open(str(path), format=kind, options=options) as container:
            yield from _pieces(container, name, longest)
    except (av.FFmpegError, ValueError) as error:
        raise AttachmentRefused(name, "damaged") from error


def _pieces(container: Any, name: str, longest: float) -> Iterator[bytes]:
    import av  # noqa: PLC0415  (heavy)

    if not container.streams.audio:
        raise AttachmentRefused(name, "without sound")
    stream = container.streams.audio[0]
    if stream.codec_context.name not in CODECS:
        raise AttachmentRefused(name, "not a sound file")
    resampler = av.AudioResampler(format="flt", layout="stereo", rate=RATE)
    count = 0
    for frame in _frames(container, stream):
        try:  # each frame may name another rate than the header
            check_sample_rate(frame.sample_rate, frame.layout.nb_channels)
        except AttachmentRefused as refusal:
            raise AttachmentRefused(name, refusal.reason) from refusal
        for converted in resampler.resample(frame):
            count += converted.samples
            yield bytes(converted.planes[0])[: 8 * converted.samples]
        if count >= longest * RATE:
            break


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Every frame that can be decoded: skips damaged packets, stops where the container is damaged."""
    import av  # noqa: PLC0415  (heavy)

    good = 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                if good == 0:
                    raise
                continue
            for frame in frames:
                good += 1
                frame.pts = None
                yield frame
    except av.InvalidDataError:
        if good == 0:
            raise
