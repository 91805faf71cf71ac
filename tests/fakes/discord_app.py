"""A complete Matinee connected to the loopback Discord; only the engine is fake.

Run as a module it is a separate bot process, which a test can kill.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from bot.domain.errors import NoSuchJob
from bot.domain.events import EventBus
from bot.domain.frontend import Frontend
from bot.domain.jobs import JobState
from bot.domain.operator import OperatorPolicy
from bot.domain.quota import Allowance, Caps, Tier
from bot.moderation.lexicon import Lexicon
from bot.moderation.prompt_policy import PromptPolicy, Rule
from bot.pipeline.delivery import Delivery
from bot.runtime import event_loop, frontend_registry
from bot.runtime.composition import compose
from bot.store.store import Store
from bot.studio.catalog import Catalog
from bot.studio.studio import Studio
from generation.clip import Clip
from generation.models.common.preset import Preset, read_presets
from generation.music.common.genre_tables import read_genres
from generation.request import Kind
from tests.bot.app_harness import serving
from tests.fakes.engine import FakeEngine
from tests.fakes.noon_timezone import noon_timezone
from tests.paths import CONFIG

if TYPE_CHECKING:
    import aiohttp

    from bot.frontends.discord.frontend import DiscordFrontend
    from tests.fakes.discord_server import DiscordServer
    from tests.fakes.discord_world import Message


def discord_engine(**options: Any) -> FakeEngine:
    """One render at a time, so that a second job waits in the queue."""
    return FakeEngine(slots=1, size=4096, **options)


async def shrink_clip(clip: Clip, limit: int) -> Clip:
    """Cut the file in place of encoding a smaller clip."""
    path = clip.path.with_stem(f"clip-{limit}")
    data = clip.path.read_bytes()[:limit]
    path.write_bytes(data)
    return structs.replace(clip, path=path, size=len(data))


def sample_presets() -> dict[str, Preset]:
    """Return a plain preset, one that supports everything, and one that knows few words."""
    known = read_presets(tomllib.loads((CONFIG / "models.toml").read_text(encoding="utf-8")))
    plain = known["testcard"]
    plain = replace(plain, limits=replace(plain.limits, kinds=(Kind.VIDEO, Kind.IMAGE)))
    able = replace(plain.limits, kinds=tuple(Kind), styles=("Realistic", "Anime"), cameras=("zoom-in",))
    versatile = replace(plain, name="able", title="Can do everything", limits=able)
    return {"testcard": plain, "able": versatile, "pocket": known["pocket"]}


@dataclass
class DiscordApp:
    studio: Studio
    events: EventBus
    store: Store
    engine: FakeEngine
    delivery: Delivery
    frontend: DiscordFrontend
    frontends: dict[str, Frontend]  # a test may add another platform


@asynccontextmanager
async def discord_app(
    data: Path,
    connector: aiohttp.BaseConnector,
    token: str,
    *,
    engine: FakeEngine | None = None,
    credits_: int = 1000,
    tiers: tuple[Tier, ...] = (),
    policy: PromptPolicy | None = None,
    **options: Any,
) -> AsyncIterator[DiscordApp]:
    """Run worker, delivery and frontend."""
    from bot.frontends.discord.frontend import DiscordFrontend  # noqa: PLC0415  (discord.py chooses zlib or zstd when it is imported)

    def create_frontend(studio: Studio) -> DiscordFrontend:
        return DiscordFrontend(studio, token, connector=connector, guild_ready_timeout=0.05, **options)

    engine = engine or discord_engine()
    store = await Store.open(data)
    await store.recover(frozenset({"discord"}))
    app = compose(
        store=store,
        engine=engine,
        frontend_factories={"discord": create_frontend},
        operator_policy=OperatorPolicy(
            allowance=Allowance(credits=credits_, zone=noon_timezone()),
            caps=Caps(person=100, community=200, all=2000),
            data_folder=data,
            min_free_disk=0,
            tiers=tiers,
            platforms=frontend_registry.shipped().platforms,
        ),
        catalog=Catalog(
            presets=sample_presets(),
            genres=read_genres(tomllib.loads((CONFIG / "genres.toml").read_text(encoding="utf-8"))),
            default_model="testcard",
            default_maker="band",
        ),
        prompt_policy=policy or PromptPolicy([Rule("operator", ("operator",))], Lexicon({}, ["forbidden"])),
        fit=shrink_clip,
    )
    frontend = app.frontends["discord"]
    assert isinstance(frontend, DiscordFrontend)
    try:
        async with serving(app):
            yield DiscordApp(app.studio, app.events, store, engine, app.delivery, frontend, app.frontends)
    finally:
        await store.close()


def messages_with_clip(server: DiscordServer, job: int) -> list[Message]:
    """Return the messages in any channel that show this clip."""
    shown = [m for m in server.world.messages.values() if not m.deleted]
    return [m for m in shown if any(a.filename == f"matinee-{job}.mp4" for a in m.attachments)]


async def wait_for_clip_message(server: DiscordServer, job: int) -> Message:
    messages: list[Message] = await server.world.wait_until(lambda: messages_with_clip(server, job))
    return messages[0]


async def wait_until_final(server: DiscordServer, app: DiscordApp, job: int) -> JobState:
    """Return the final state of a job; checked after each change of the chat, and at least twice a second."""
    while True:
        with suppress(NoSuchJob):
            state = (await app.store.job(job)).state
            if state.is_final:
                return state
        with suppress(TimeoutError):
            await server.world.wait_for_change(within=0.5)


async def _main(arguments: argparse.Namespace, authority: str) -> None:
    from tests.fakes.discord_connector import connector  # noqa: PLC0415  (only needed in a separate process)

    link = connector(arguments.port, authority)
    engine = discord_engine(step_pause=arguments.pause)
    async with discord_app(Path(arguments.data), link, arguments.token, engine=engine):
        await asyncio.Event().wait()


if __name__ == "__main__":
    reader = argparse.ArgumentParser()
    for name in ("port", "authority", "token", "data"):
        reader.add_argument(name, type=int if name == "port" else str)
    reader.add_argument("--pause", type=float, default=0.02)
    reader.add_argument("--zlib", action="store_true", help="run as if zstandard were not installed")
    given = reader.parse_args()
    if given.zlib:
        sys.modules["zstandard"] = None  # type: ignore[assignment]  # makes its import fail
    event_loop.run(_main(given, Path(given.authority).read_text(encoding="utf-8")))
