"""Reads whether the execution of a stalled order still runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from functions.shared.order_queue import OrderMessage


class Executions:
    """The executions of a STANDARD state machine."""

    def __init__(self, client: Any, state_machine_arn: str) -> None:
        self._client = client
        self._prefix = state_machine_arn.replace(":stateMachine:", ":execution:", 1)

    def is_running(self, message: OrderMessage) -> bool:
        """Returns whether the execution that this message started still runs. Raises botocore's errors."""
        try:
            answer = self._client.describe_execution(executionArn=f"{self._prefix}:{message.execution_name}")
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return False
            raise
        return bool(answer["status"] == "RUNNING")


IsRunning = Callable[[OrderMessage], bool]


def never_running(_message: OrderMessage) -> bool:
    """EXPRESS executions cannot be described. They end within five minutes, before an order is stalled."""
    return False
