"""What was measured, side by side, as a line of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """The figures of "this" and of what it stands beside, in the order of their rounds; the median is told."""

    what: str
    unit: str
    figures: Mapping[str, Sequence[float]]
    note: str = ""

    def __str__(self) -> str:
        """A line of Markdown; of each other, how many times as much this takes."""
        ours = self.figures["this"]
        others = [
            f"{name} {self._said(theirs)} (× {median(a / b for a, b in zip(ours, theirs, strict=True)):.2f})"
            for name, theirs in self.figures.items()
            if name != "this"
        ]
        return f"| {self.what} | {self._said(ours)} | {', '.join(filter(None, [*others, self.note]))} |"

    def _said(self, figures: Sequence[float]) -> str:
        middle = median(figures)
        digits = 0 if middle >= 100 or middle == int(middle) else 1 if middle >= 10 else 2 if middle >= 0.1 else 3
        return f"{middle:.{digits}f} {self.unit}".rstrip()
