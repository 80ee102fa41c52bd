# SPDX-License-Identifier: Apache-2.0
"""What a check found, in words and in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One fault of a recording."""

    fault: str  # its name
    evidence: str  # numbers, in words
    remedy: str  # what to do


@dataclass
class CheckReport:
    """Faults, what was checked and what could not be."""

    faults: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    numbers: dict[str, float | int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether no fault was found; what could not be checked is none."""
        return not self.faults

    def add(self, fault: str, evidence: str, remedy: str) -> None:
        """Note a fault."""
        self.faults.append(Finding(fault, evidence, remedy))

    def in_words(self) -> str:
        """The report for a person."""
        lines = [f"checked: {line}" for line in self.checked]
        lines += [f"cannot be checked: {line}" for line in self.not_checked]
        for finding in self.faults:
            lines += [
                f"FAULT: {finding.fault}",
                f"  evidence: {finding.evidence}",
                f"  remedy: {finding.remedy}",
            ]
        if self.is_good:
            lines.append("no fault found")
        return "\n".join(lines) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"good": self.is_good, **asdict(self)}
