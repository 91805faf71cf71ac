"""The event bus: who is called, in which order, and what a failing handler changes."""

from __future__ import annotations

from bot.domain.events import EventBus, JobCancelRequested, QueueChanged


def test_handlers_run_in_the_order_of_their_subscription() -> None:
    events, calls = EventBus(), list[str]()
    events.subscribe(JobCancelRequested, lambda event: calls.append(f"first {event.job_id}"))
    events.subscribe(JobCancelRequested, lambda event: calls.append(f"second {event.job_id}"))
    events.subscribe(QueueChanged, lambda _: calls.append("other type"))
    events.publish(JobCancelRequested(7))
    assert calls == ["first 7", "second 7"]


def test_a_handler_that_raises_does_not_stop_the_others() -> None:
    events, calls = EventBus(), list[int]()

    def fail(_: JobCancelRequested) -> None:
        raise ZeroDivisionError

    events.subscribe(JobCancelRequested, fail)
    events.subscribe(JobCancelRequested, lambda event: calls.append(event.job_id))
    events.publish(JobCancelRequested(7))
    assert calls == [7]


def test_an_ended_subscription_is_not_called() -> None:
    events, calls = EventBus(), list[int]()
    subscriptions = [
        events.subscribe(JobCancelRequested, lambda event: calls.append(event.job_id)) for _ in range(2)
    ]
    subscriptions[0]()
    subscriptions[0]()  # ending it twice changes nothing
    events.publish(JobCancelRequested(7))
    assert calls == [7]


def test_an_event_without_subscribers_is_dropped() -> None:
    EventBus().publish(QueueChanged())
