"""What is wrong with a file as such. Not for faults found by validation: those are values (`layers.Fault`) and come all at once."""


class ReportError(ValueError):
    """A file or value that cannot be meant. place: the element, tag or column, with its line where there is one."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place, self.message = place, message


class NotCarried(ReportError):
    """The file is right, but says something that our values have no room for: refused rather than lost."""
