"""Label clips as AI-generated: a C2PA signature, a plain tag and, only on request, the recipe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ffmpeg as build
from msgspec import structs

from generation.clip import Clip
from generation.errors import DiskFull, EncodeFailed
from generation.media.c2pa_layout import has_expected_layout
from generation.media.ffmpeg import Ffmpeg, run
from generation.media.files import atomic_file, disk_is_full, explain_os_error, rename_durably
from generation.media.image_metadata import READ_LIMIT, is_still, read_metadata, with_metadata
from generation.media.probe import clip_from_file, probe
from generation.media.signing_identity import Identity
from generation.request import Request, has_possible_values

MADE_BY_AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_NAME = "Matinee"
_RECIPE_TAG = "synopsis"
_SIGNATURE_TRACE = b"c2pa.signature"  # in a file whose signature C2PA no longer finds
_RECIPE_BYTES = 64_000
_LOCAL_PATH_FIELDS = ("image", "source")  # paths of this machine, kept private
_NO_THUMBNAIL = {"builder": {"thumbnail": {"enabled": False}}}
_MP4_HEADER = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"
_FORMATS = {".png": "image/png", ".jpg": "image/jpeg"}


class SignatureStatus(StrEnum):
    VALID = "holds"  # signed and unchanged since
    BROKEN = "broken"  # signed, but changed afterwards
    ABSENT = "absent"  # never signed, or the signature was removed


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceReport:
    status: SignatureStatus
    ours: bool = False  # signed with the identity it was verified against
    made_by_ai: bool = False
    model: str | None = None
    software: str | None = None
    detail: str = ""

    @property
    def by_matinee(self) -> bool:
        return (self.software or "").startswith(_NAME)


def ai_label_tags(model: str) -> dict[str, str]:
    """Tags for people and programs that do not read C2PA."""
    return {"comment": f"AI-generated: made by a machine ({model}, Matinee)."}


def sign_file(path: Path, *, identity: Identity, model: str) -> None:
    """Sign the file in place as made by AI with `model`; without its user or prompt.

    Must be the last step: copying the streams to another container drops the signature.
    """
    import c2pa  # noqa: PLC0415  (a native library, loaded where it is used)

    part = path.with_name(path.name + ".signed.part")
    info = c2pa.C2paSignerInfo(identity.algorithm, identity.chain.encode(), identity.key.encode(), None)
    try:
        with (
            c2pa.Signer.from_info(info) as signer,
            c2pa.Settings.from_dict(_NO_THUMBNAIL) as settings,
            c2pa.Context(settings) as context,
            c2pa.Builder(_manifest(model), context) as builder,
            path.open("rb") as source,
            part.open("w+b") as target,
        ):
            builder.sign(signer, _format(path), source, target)
        rename_durably(part, path)
    except OSError as error:
        raise explain_os_error(error, path.parent, "mark") from error
    except c2pa.C2paError as error:
        if disk_is_full(path.parent):
            raise DiskFull(str(path.parent)) from error
        raise EncodeFailed("mark", str(error)) from error
    finally:
        part.unlink(missing_ok=True)


def _format(path: Path) -> str:
    return _FORMATS.get(Path(path.name.removesuffix(".part")).suffix, "video/mp4")


def _manifest(model: str) -> str:
    try:
        release = version("matinee")
    except PackageNotFoundError:  # not installed, but run from a checkout
        release = "0"
    created = {
        "action": "c2pa.created",
        "digitalSourceType": MADE_BY_AI,
        "softwareAgent": {"name": model},
    }
    return json.dumps(
        {
            "claim_generator_info": [{"name": _NAME, "version": release}],
            "title": "AI-generated clip",
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
        }
    )


def verify(path: Path, *, identity: Identity | None = None) -> ProvenanceReport:
    """Check the signature; `ours` needs `identity`. Raises OSError if the file cannot be read."""
    import c2pa  # noqa: PLC0415  (a native library, loaded where it is used)

    trust = {"trust": {"trust_anchors": identity.root}} if identity and identity.root else {}
    try:
        with (
            path.open("rb") as file,
            c2pa.Settings.from_dict({"verify": {"remote_manifest_fetch": False}, **trust}) as settings,
            c2pa.Context(settings) as context,
            c2pa.Reader(_format(path), file, context=context) as reader,
        ):
            report = _parse_report(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        damaged = _SIGNATURE_TRACE in path.read_bytes()
        return (
            ProvenanceReport(status=SignatureStatus.BROKEN, detail="damaged")
            if damaged
            else ProvenanceReport(status=SignatureStatus.ABSENT)
        )
    except c2pa.C2paError as error:
        return ProvenanceReport(status=SignatureStatus.BROKEN, detail=str(error))
    if report.status is SignatureStatus.VALID and report.by_matinee and not _has_matinee_layout(path):
        return replace(report, status=SignatureStatus.BROKEN, detail="changed where C2PA does not look")
    return report


def _has_matinee_layout(path: Path) -> bool:
    """Check the parts that C2PA does not hash: the first box of an MP4 and parts of the signature."""
    data = path.read_bytes()
    known_header = _format(path) in _FORMATS.values() or data.startswith(_MP4_HEADER)
    return known_header and has_expected_layout(data, Path(path.name.removesuffix(".part")).suffix)


def _parse_report(c2pa_report: Mapping[str, Any]) -> ProvenanceReport:
    manifest = c2pa_report["manifests"].get(c2pa_report.get("active_manifest"), {})
    generator = (manifest.get("claim_generator_info") or [{}])[0]
    actions = [
        action
        for assertion in manifest.get("assertions", ())
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]
    created: dict[str, Any] = next((action for action in actions if action["action"] == "c2pa.created"), {})
    agent = created.get("softwareAgent")
    state = c2pa_report.get("validation_state", "Invalid")
    return ProvenanceReport(
        status=SignatureStatus.VALID if state in {"Valid", "Trusted"} else SignatureStatus.BROKEN,
        ours=state == "Trusted",
        made_by_ai=created.get("digitalSourceType") == MADE_BY_AI,
        model=agent.get("name") if isinstance(agent, dict) else agent,
        software=" ".join(str(generator[key]) for key in ("name", "version") if key in generator) or None,
        detail=", ".join(status["code"] for status in c2pa_report.get("validation_status", ())),
    )


async def with_recipe(
    clip: Clip, request: Request, target: Path, *, ffmpeg: Ffmpeg, identity: Identity | None = None
) -> Clip:
    """A copy of the clip or still with its recipe, for its author's own download."""
    text = json.dumps(recipe_data(request), ensure_ascii=False)
    if clip.path.suffix in _FORMATS:
        return await _image_with_recipe(text, clip, request, target, identity)
    picture = build.input(str(clip.path), f="mp4", protocol_whitelist="file")
    tags = {"metadata:g:0": f"{_RECIPE_TAG}={text}"}
    async with atomic_file(target, "recipe") as part:
        out = build.output(picture, str(part), f="mp4", codec="copy", movflags="+faststart", map=0, **tags)
        await run(ffmpeg, out, stage="recipe")
        await _sign_again(part, clip, request, identity)
    return structs.replace(clip_from_file(target, poster=clip.poster), sheet=clip.sheet)


async def _image_with_recipe(
    text: str, clip: Clip, request: Request, target: Path, identity: Identity | None
) -> Clip:
    async with atomic_file(target, "recipe") as part:
        data = await asyncio.to_thread(clip.path.read_bytes)
        await asyncio.to_thread(part.write_bytes, with_metadata(data, {_RECIPE_TAG: text}))
        await _sign_again(part, clip, request, identity)
    return structs.replace(clip, path=target, size=(await asyncio.to_thread(target.stat)).st_size)


async def _sign_again(part: Path, clip: Clip, request: Request, identity: Identity | None) -> None:
    if identity is not None:
        model = (await asyncio.to_thread(verify, clip.path)).model or request.model
        await asyncio.to_thread(sign_file, part, identity=identity, model=model)


def recipe_data(request: Request) -> dict[str, Any]:
    """The recipe: the whole request without paths of this machine."""
    data = request.to_json()
    music = data["music"] | {"track": None, "melody": None}
    return data | dict.fromkeys(_LOCAL_PATH_FIELDS) | {"music": music}


def read_recipe(path: Path) -> Request | None:
    """The request in a file's recipe, or None if there is none or it is invalid.

    The sender of the file controls it: check it against the model's limits like typed input.
    """
    try:
        with path.open("rb") as file:
            head = file.read(READ_LIMIT)
        text = read_metadata(head, _RECIPE_TAG) if is_still(head) else probe(path).tags.get(_RECIPE_TAG, "")
        request = Request.from_json(json.loads(text[:_RECIPE_BYTES]))
    except (OSError, EncodeFailed, ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        return None
    except RecursionError:
        return None
    return request if _is_plausible(request) else None


def _is_plausible(request: Request) -> bool:
    files = (request.image, request.source, request.music.track, request.music.melody)
    return has_possible_values(request) and not any(files)
