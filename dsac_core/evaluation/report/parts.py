# SPDX-License-Identifier: Apache-2.0
"""Pieces of HTML that the page is made of."""

from __future__ import annotations

from html import escape

from dsac_core.evaluation.report.bands import MISSED


def section(
    title: str, lead: str, content: str, *, before: str = "", after: str = "",
    grid: str = "grid two",
) -> str:  # fmt: skip
    """A heading, what it is about, and what is in it."""
    lead = f'<p class="sub">{escape(lead)}</p>' if lead else ""
    inside = f'<div class="{grid}">{content}</div>' if grid else content
    return f"<section><h2>{escape(title)}</h2>{lead}{before}{inside}{after}</section>"


def card(title: str, drawing: str, after: str = "") -> str:
    """A box with a drawing."""
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f'<div class="card">{heading}{drawing}{after}</div>'


def key(css: str, text: str) -> str:
    """A band of errors in a legend."""
    shape = '<circle class="{}" cx="7" cy="7" r="4.5"/>'
    if css == MISSED:
        shape = '<path class="{}" d="M3 3l8 8m0-8l-8 8"/>'
    return f'<li><svg viewBox="0 0 14 14">{shape.format(css)}</svg>{escape(text)}</li>'


def line(css: str, text: str) -> str:
    """A line in a legend."""
    return f'<li><svg viewBox="0 0 14 14"><path class="{css}" d="M0 7h14"/></svg>{text}</li>'


def box(css: str, text: str) -> str:
    """A filled area in a legend."""
    box = f'<rect class="{css}" x="2" y="2" width="10" height="10"/>'
    return f'<li><svg viewBox="0 0 14 14">{box}</svg>{escape(text)}</li>'
