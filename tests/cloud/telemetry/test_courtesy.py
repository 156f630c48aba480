"""Compaction steps back while requests are in hand, and never stops for good."""

from cloud.telemetry.compactor import Courtesy


def test_work_goes_on_at_once_when_nothing_is_in_hand() -> None:
    asked: list[int] = []

    def busy() -> bool:
        asked.append(1)
        return False

    Courtesy(busy).step()
    assert len(asked) == 1


def test_work_waits_until_the_requests_are_done() -> None:
    answers = [True, True, False, True]
    courtesy = Courtesy(lambda: answers.pop(0))
    courtesy._since -= 60.0  # a minute of work: the wait would be four
    courtesy.step()
    assert answers == [True]


def test_work_gets_its_share_when_requests_never_end() -> None:
    courtesy, steps = Courtesy(lambda: True), []
    courtesy._since -= 0.01
    for number in range(3):
        courtesy.step()
        steps.append(number)
    assert steps == [0, 1, 2]
