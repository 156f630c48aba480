import pytest

from cloud.identity import totp

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("algorithm", "secret", "expected"), [("sha256", SECRET + SECRET[:12], "46119246"), ("sha512", SECRET * 3 + SECRET[:4], "90693936")]
)
def test_codes_of_the_longer_hashes_are_those_of_rfc_6238(algorithm: str, secret: bytes, expected: str) -> None:
    assert totp.code(secret, 59, digits=8, algorithm=algorithm) == expected  # type: ignore[arg-type]


def test_a_code_is_taken_one_step_late_and_not_two() -> None:
    given = totp.code(SECRET, 1_000_000)
    assert totp.matching_step(SECRET, given, 1_000_030) == 1_000_000 // 30
    assert totp.matching_step(SECRET, given, 1_000_090) is None


def test_anything_but_a_code_matches_nothing() -> None:
    assert totp.matching_step(SECRET, "", 1_000_000) is None
    assert totp.matching_step(SECRET, "\u0661\u0662", 1_000_000) is None
