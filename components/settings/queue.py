"""Settings of the orders queue and its consumer."""

from dataclasses import dataclass
from typing import Final

from components.settings.functions import FunctionSettings
from components.settings.loader import SettingsError, Values
from components.settings.requeue import RequeueSettings

_VISIBILITY_PER_TIMEOUT: Final = 6
# SQS leaves a message that was received three times out of the age of the oldest, which the requeue reads:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
_COUNTED: Final = 3


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """Limits of the consumer, and whether the queues refuse plain HTTP."""

    consumer_timeout_seconds: int
    consumer_batch_window_seconds: int
    consumer_max_concurrency: int
    require_tls: bool

    @property
    def visibility_seconds(self) -> int:
        """Seconds for which the queue hides a received message. AWS asks for six timeouts and the window.

        A throttled batch must not reappear while it is retried:
        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        """
        return _VISIBILITY_PER_TIMEOUT * self.consumer_timeout_seconds + self.consumer_batch_window_seconds

    @classmethod
    def read(cls, values: Values, functions: FunctionSettings, requeue: RequeueSettings) -> "QueueSettings":
        """Reads the keys; the limits must fit those of the functions and of the requeue."""
        timeout = _consumer_timeout(values, requeue.stalled_after_minutes)
        return cls(
            consumer_timeout_seconds=timeout,
            consumer_batch_window_seconds=_batch_window(values, timeout, requeue.stalled_after_minutes),
            consumer_max_concurrency=_consumer_max_concurrency(values, functions),
            require_tls=values.boolean("requireTls"),
        )


def _consumer_timeout(values: Values, stalled_after_minutes: int) -> int:
    key = "consumerTimeoutSeconds"
    timeout = values.integer(key, 6, 900)
    longest = _longest_visibility(stalled_after_minutes) // _VISIBILITY_PER_TIMEOUT
    if timeout > longest:
        raise SettingsError(
            f"{key}: {timeout} is too high. Use at most {longest} with stalledAfterMinutes "
            f"{stalled_after_minutes}."
        )
    return timeout


def _batch_window(values: Values, timeout: int, stalled_after_minutes: int) -> int:
    key = "consumerBatchWindowSeconds"
    window = values.integer(key, 0, 300)
    longest = _longest_visibility(stalled_after_minutes) - _VISIBILITY_PER_TIMEOUT * timeout
    if window > longest:
        raise SettingsError(
            f"{key}: {window} is too high. Use at most {longest} with consumerTimeoutSeconds {timeout} and "
            f"stalledAfterMinutes {stalled_after_minutes}."
        )
    return window


def _longest_visibility(stalled_after_minutes: int) -> int:
    """Returns the seconds for which a message may be hidden, so that its third delivery is not too late."""
    return (60 * stalled_after_minutes - 1) // _COUNTED


def _consumer_max_concurrency(values: Values, functions: FunctionSettings) -> int:
    key = "consumerMaxConcurrency"
    concurrency = values.integer(key, 2, 1000)
    reserved = functions.reserved_concurrency.get("order_consumer", concurrency)
    # With less, Lambda throttles messages that the pollers took, which uses up their deliveries.
    if reserved < concurrency:
        raise SettingsError(
            f"reservedConcurrency.order_consumer: {reserved} is too low. Use at least {key}, {concurrency}."
        )
    return concurrency
