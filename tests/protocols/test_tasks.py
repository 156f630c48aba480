import asyncio

from protocols import tasks


async def test_task_that_swallows_a_cancellation_is_asked_again() -> None:
    asked = []

    async def stubborn() -> None:
        while len(asked) < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                asked.append(True)
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await tasks.end(task, patience_s=0.01)
    assert task.cancelled()
    assert len(asked) == 3


async def test_tasks_that_ended_or_fail_while_they_end_do_not_matter() -> None:
    async def failing() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("while putting away")

    done = asyncio.create_task(asyncio.sleep(0))
    task = asyncio.create_task(failing())
    await asyncio.sleep(0.01)
    await tasks.end(done, task)
    assert isinstance(task.exception(), ValueError)
    assert done.done()
    assert not done.cancelled()
