"""Shows the progress of a deployment: one live line on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from local.engine.program import Resource


@contextlib.contextmanager
def deployment_progress(console: Console) -> "Iterator[Callable[[Resource], None]]":
    """Yields the callback for `on_resource`. Prints the number of resources and the duration at the end."""
    started = time.monotonic()
    count = 0
    status = console.status("") if console.is_terminal else None

    def show(resource: "Resource") -> None:
        nonlocal count
        count += 1
        if count == 1:
            console.print("Deploying the stack on the embedded AWS …")
        if status:
            kind = resource.type.rpartition(":")[2]
            status.update(f"{count} resources · {kind} [bold]{resource.name}[/]")

    with status or contextlib.nullcontext():
        yield show
    console.print(f"Deployed {count} resources in {time.monotonic() - started:.1f} s.")
