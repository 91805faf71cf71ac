"""Connects all parts of the bot with each other. The app and the tests build them here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bot.domain.events import AdminNoticeRaised, EventBus, UserNoticeRaised
from bot.domain.frontend import Frontend
from bot.domain.operator import OperatorPolicy
from bot.maintenance.retention import RetentionSweeper
from bot.moderation.admin_notices import AdminNotices
from bot.moderation.prompt_policy import PromptPolicy
from bot.pipeline.delivery import RETRY_DELAYS, Delivery, FitClip, InspectClip, PersonalizeClip
from bot.pipeline.user_notices import UserNotices
from bot.pipeline.worker import Worker
from bot.runtime.frontend_registry import FrontendFactories
from bot.runtime.supervisor import Supervisor
from bot.store.store import Store
from bot.studio.catalog import Catalog
from bot.studio.studio import Studio
from generation.engines.engine import Engine

SHUTDOWN_GRACE = 30.0
"""Seconds that running renders and deliveries may take to finish after a signal to stop."""


@dataclass(slots=True, kw_only=True)
class App:
    """All parts of an open bot."""

    studio: Studio
    store: Store
    engine: Engine
    worker: Worker
    delivery: Delivery
    frontends: dict[str, Frontend]
    frontend_factories: FrontendFactories
    sweeper: RetentionSweeper
    events: EventBus
    shutdown_grace: float = SHUTDOWN_GRACE

    def create_frontend(self, name: str) -> None:
        """Create the frontend of this name; it replaces one that died."""
        self.frontends[name] = self.frontend_factories[name](self.studio)

    async def serve(self) -> None:
        """Serve until cancelled or until every frontend has ended. An error in any part ends it."""
        await Supervisor(self, restarts=False).serve(self.studio.watch_outside_cancels())

    async def stop_gracefully(self, reason: str) -> None:
        """Accept no new jobs, and let running renders finish and arrive within the grace.

        A send that has begun gets the same time once more: if it were cut short, its outcome would be
        uncertain.
        """
        self.studio.stop_accepting(reason)
        self.worker.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.shutdown_grace):
                await self.worker.drained.wait()
                await self.delivery.send_remaining()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.shutdown_grace):
                await self.delivery.wait_for_sends()


def compose(  # noqa: PLR0913  (all are passed by keyword)
    *,
    store: Store,
    engine: Engine,
    frontend_factories: FrontendFactories,
    operator_policy: OperatorPolicy,
    catalog: Catalog,
    prompt_policy: PromptPolicy,
    fit: FitClip,
    personalize: PersonalizeClip | None = None,
    inspect: InspectClip | None = None,
    admin_chats: Sequence[str] = (),
    affinity: int = 0,
    keep_days: int = 0,
    retry_delays: Sequence[float] = RETRY_DELAYS,
    clock: Callable[[], float] = time.time,
) -> App:
    """Build every part around one store, one engine and one event bus. Nothing is opened or run."""
    events, frontends = EventBus(), dict[str, Frontend]()
    clips = (operator_policy.data_folder / "clips").absolute()
    studio = Studio(
        store=store,
        operator_policy=operator_policy,
        catalog=catalog,
        prompt_policy=prompt_policy,
        events=events,
    )
    worker = Worker(
        store=store, engine=engine, presets=catalog.presets, clips=clips, events=events, affinity=affinity
    )
    delivery = Delivery(
        store=store,
        frontends=frontends,
        fit=fit,
        events=events,
        inspect=inspect,
        personalize=personalize,
        presets=catalog.presets,
        retry_delays=retry_delays,
    )
    notices = AdminNotices(frontends, admin_chats)
    events.subscribe(AdminNoticeRaised, lambda event: notices.post(event.notice))
    user_notices = UserNotices(frontends)
    events.subscribe(UserNoticeRaised, lambda event: user_notices.post(event.key, event.notice))
    app = App(
        studio=studio,
        store=store,
        engine=engine,
        events=events,
        worker=worker,
        delivery=delivery,
        frontends=frontends,
        frontend_factories=frontend_factories,
        sweeper=RetentionSweeper(store=store, clips=clips, keep_days=keep_days, clock=clock),
    )
    for name in frontend_factories:
        app.create_frontend(name)
    return app
