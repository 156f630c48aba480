"""One thread that runs calls one after the other for an event loop.

An executor of the standard library does the same through a second kind of future with locks of its own; a commit ten times a second
felt it. A call that was handed over runs to its end even when nobody waits for it any more.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class OneThread:
    """`call` from one event loop; `stop` ends the thread after what was handed over."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="buffer", daemon=True)
        self._thread.start()

    async def call(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, done, work))
        return await done

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while job := self._jobs.get():
            loop, done, work = job
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:  # whatever it was, it belongs to who asked
                failure = error
            loop.call_soon_threadsafe(_tell, done, result, failure)


def _tell(done: "asyncio.Future[Any]", result: Any, failure: BaseException | None) -> None:
    if done.done():
        return
    if failure is None:
        done.set_result(result)
    else:
        done.set_exception(failure)
