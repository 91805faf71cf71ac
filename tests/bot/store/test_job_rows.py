"""What a row stores of a job, and which defaults it omits."""

from __future__ import annotations

import json

from msgspec import structs

from bot.store import job_rows


def test_omitted_fields_keep_their_defaults() -> None:
    """Defaults are not stored, so they must never change; only a new field may add one."""
    kept = {
        "prompt": "a fox",
        "kind": "video",
        "model": "ltx",
        "width": 704,
        "height": 512,
        "frames": 121,
        "fps": 24.0,
        "seed": 7,
        "steps": 8,
        "guidance": 3.0,
    }
    music = {"genre": "lofi", "maker": "band"}
    left_out = {"negative": "", "style": None, "camera": None, "image": None, "source": None}
    silent = {
        "mood": "",
        "bpm": 90.0,
        "instruments": (),
        "words": "",
        "seed": 0,
        "track": None,
        "melody": None,
    }
    request = job_rows.decode_request(json.dumps({**kept, "music": music}))
    assert request.to_json() == {**kept, "music": {**music, **silent}, **left_out}
    assert json.loads(job_rows.as_json(request)) == {**kept, "music": music}
    assert structs.asdict(job_rows.decode_requester('{"platform":"discord","user":"5"}')) == {
        "platform": "discord",
        "user": "5",
        "name": "",
        "roles": (),
        "community": "",
        "admin": False,
        "language": "en",
    }
    assert structs.asdict(job_rows.decode_reply_to('{"platform":"discord","chat":"1"}')) == {
        "platform": "discord",
        "chat": "1",
        "message": "",
        "status": "",
        "thread": "",
        "token": "",
        "token_until": 0.0,
        "limit": 0,
        "private": False,
        "facts": {},
    }
