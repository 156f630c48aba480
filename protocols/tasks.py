"""Ending background tasks for certain.

Python 3.11's `asyncio.wait_for`, which database and protocol libraries use inside, loses a cancellation that arrives together with the
awaited result: the task works on as if nobody had asked, and whoever awaits its end waits for ever. So it is asked again.
"""

import asyncio
from typing import Any, Final

PATIENCE_S: Final = 5.0  # what a task may take to put things away before it is asked again


async def end(*tasks: asyncio.Task[Any], patience_s: float = PATIENCE_S) -> None:
    """Cancel the tasks and return when all have ended, however they ended."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=patience_s)
    await asyncio.gather(*tasks, return_exceptions=True)  # an exception that nobody asked for is not reported a second time
