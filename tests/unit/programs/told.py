"""What was logged while a test ran."""

from loguru import logger


class Told:
    """Every message, with its level before it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._sink = logger.add(self.lines.append, format="{level} {message}", level="DEBUG")

    def count(self, text: str) -> int:
        """Return how many messages hold a text."""
        return sum(text in line for line in self.lines)

    def close(self) -> None:
        """Stop listening."""
        logger.remove(self._sink)
