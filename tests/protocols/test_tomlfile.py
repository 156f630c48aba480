from pathlib import Path

import pytest

from protocols.tomlfile import ConfigError, TomlFile


@pytest.mark.parametrize("text", ["a = 1" + "0" * 5_000, "a = " + "[" * 5_000 + "]" * 5_000], ids=["endless number", "endless nesting"])
def test_toml_that_python_gives_up_on_is_an_error_of_the_file(text: str) -> None:
    with pytest.raises(ConfigError, match=r"file\.toml:1"):
        TomlFile(Path("file.toml"), text)
