# SPDX-License-Identifier: Apache-2.0
"""A picture of what the relocalizer made of an image, for people.

Dots are cells, diamonds are landmarks. Those that agree with the pose have a line to where the
pose puts them, and a colour from green to red by the length of that line; the others are faint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dsac_ros.state import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_ros.reprojection import Reprojection

    ByteImage = NDArray[np.uint8]
    FloatArray = NDArray[np.float64]

STATE_COLOURS = {
    State.LOCALIZED: (46, 204, 113),
    State.SEARCHING: (245, 176, 65),
    State.LOST: (231, 76, 60),
    State.PAUSED: (149, 165, 166),
}
_USUAL_HEIGHT = 480  # px, at which marks and text have their usual size
_COLOUR_LEFT, _GREY_LEFT = 0.18, 0.4  # of the image behind the marks, which have the colours
_FAINT = 0.45  # opacity of what does not agree
_OUTLIER = np.array([170, 178, 190], np.float32)
_WHITE, _GREY = (240, 240, 240), (178, 184, 190)
_BAR = np.array([18, 20, 24], np.float32)
_BAR_OPACITY = 0.78
_FONT = cv2.FONT_HERSHEY_DUPLEX
_INVISIBLE = 0.02  # opacity below which a pixel of a mark is left alone


@dataclass(frozen=True)
class Caption:
    """What the bar says."""

    state: State
    scene: str
    inliers: int = 0
    correspondences: int = 0
    confidence: float | None = None  # 0 to 1
    latency: float | None = None  # s
    reason: str = ""


def draw_debug_image(
    image: ByteImage, reprojection: Reprojection | None, caption: Caption
) -> ByteImage:
    """Draw what was seen on a copy of the image.

    Args:
        image: H x W x 3 (RGB) or H x W (grey).
        reprojection: What was seen in it; None where nothing was, as without a calibration.
        caption: The text.

    Returns:
        RGB, H x W x 3.
    """
    colour = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    canvas = np.asarray(
        cv2.addWeighted(colour, _COLOUR_LEFT, grey, _GREY_LEFT, 0.0, grey), np.uint8
    )
    unit = max(image.shape[0] / _USUAL_HEIGHT, 0.5)
    if reprojection is not None:
        _draw_marks(canvas, reprojection, unit)
    _draw_bar(canvas, caption, unit, None if reprojection is None else reprojection.threshold)
    return canvas


def error_colours(errors_N: FloatArray, threshold: float) -> ByteImage:
    """RGB [N x 3] of reprojection errors: green at 0 px, yellow, red from the threshold on."""
    share = np.clip(np.nan_to_num(errors_N / threshold, nan=1.0, posinf=1.0), 0.0, 1.0)
    return np.asarray(_RAMP[np.rint(share * (len(_RAMP) - 1)).astype(int)])


def _make_ramp() -> ByteImage:
    stops = np.array(
        [(46, 224, 120), (170, 230, 70), (255, 214, 60), (255, 140, 50), (235, 60, 50)]
    )
    where = np.linspace(0.0, 1.0, len(stops))
    steps = np.linspace(0.0, 1.0, 64)
    return np.column_stack([np.interp(steps, where, stops[:, c]) for c in range(3)]).astype(
        np.uint8
    )


_RAMP = _make_ramp()


def _draw_marks(canvas: ByteImage, seen: Reprojection, unit: float) -> None:
    inliers, cells = seen.inliers_N, ~seen.landmarks_N
    dot, diamond = _disc(1.7 * unit), _diamond(4.2 * unit, 1.3 * unit)
    for mark, kind in ((_disc(1.0 * unit), cells), (diamond, seen.landmarks_N)):
        _stamp(canvas, seen.pixels_N2[kind & ~inliers], _OUTLIER, np.float32(_FAINT) * mark)
    colours = error_colours(seen.errors_N, seen.threshold)
    _draw_lines(canvas, seen.pixels_N2[inliers], seen.projected_N2[inliers], colours[inliers])
    for mark, kind in ((dot, cells), (diamond, seen.landmarks_N)):
        chosen = kind & inliers
        _stamp(canvas, seen.pixels_N2[chosen], colours[chosen].astype(np.float32), mark)


def _draw_lines(
    canvas: ByteImage, from_N2: FloatArray, to_N2: FloatArray, colours_N3: ByteImage
) -> None:
    """Lines of one pixel, all at once: thousands of calls into OpenCV take too long."""
    if len(from_N2) == 0:
        return
    height, width = canvas.shape[:2]
    steps = np.linspace(0.0, 1.0, 2 + int(np.abs(to_N2 - from_N2).max()))
    along_NS2 = from_N2[:, None] + steps[:, None] * (to_N2 - from_N2)[:, None]
    column, row = np.clip(np.rint(along_NS2).astype(np.intp), 0, [width - 1, height - 1]).T
    canvas[row.T.ravel(), column.T.ravel()] = np.repeat(colours_N3, len(steps), axis=0)


def _stamp(
    canvas: ByteImage,
    centres_N2: FloatArray,
    colours: NDArray[np.float32],
    mark: NDArray[np.float32],
) -> None:
    """Blend a mark [k x k], the opacity of each of its pixels, into the image at each centre."""
    height, width = canvas.shape[:2]
    half = len(mark) // 2
    if len(centres_N2) == 0 or min(height, width) < len(mark):
        return
    # At the edge of the image a mark moves inwards by its own size.
    last = [width - 1 - half, height - 1 - half]
    column, row = np.clip(np.rint(centres_N2).astype(np.intp), half, last).T
    centre_N = row * width + column
    pixels = canvas.reshape(-1, 3)
    for down, right in np.argwhere(mark > _INVISIBLE):
        opacity = mark[down, right]
        place = centre_N + ((down - half) * width + right - half)
        pixels[place] = (opacity * colours + (1.0 - opacity) * pixels[place]).astype(np.uint8)


def _disc(radius: float) -> NDArray[np.float32]:
    x, y = _around(radius)
    return np.asarray(np.clip(radius + 0.5 - np.hypot(x, y), 0.0, 1.0), np.float32)


def _diamond(radius: float, width: float) -> NDArray[np.float32]:
    """Only its outline."""
    x, y = _around(radius + width)
    off_line = np.abs(np.abs(x) + np.abs(y) - radius) / np.sqrt(2.0)
    return np.asarray(np.clip(0.5 * width + 0.5 - off_line, 0.0, 1.0), np.float32)


def _around(radius: float) -> FloatArray:
    half = int(np.ceil(radius))
    return np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)


def _draw_bar(canvas: ByteImage, caption: Caption, unit: float, threshold: float | None) -> None:
    height, width = canvas.shape[:2]
    tall = min(round(46 * unit), height)
    bar = canvas[height - tall :]
    bar[:] = (_BAR_OPACITY * _BAR + (1.0 - _BAR_OPACITY) * bar).astype(np.uint8)
    colour = STATE_COLOURS[caption.state]
    margin, first, second = round(12 * unit), round(19 * unit), round(38 * unit)
    bar[:, : round(4 * unit)] = colour

    scale = 0.48 * unit
    right = width - margin
    if threshold is not None:
        right = _draw_scale(bar, threshold, unit, right, first) - margin
    after = _write(bar, caption.state.name, (margin, first), colour, scale, right)
    _write(bar, _facts(caption), (after + margin, first), _WHITE, 0.84 * scale, right)
    _write(bar, caption.reason, (margin, second), _GREY, 0.84 * scale, width - margin)


def _facts(caption: Caption) -> str:
    facts = [caption.scene]
    if caption.correspondences:
        facts.append(f"{caption.inliers}/{caption.correspondences} inliers")
    if caption.confidence is not None:
        facts.append(f"confidence {caption.confidence:.2f}")
    if caption.latency is not None:
        facts.append(f"{1000 * caption.latency:.0f} ms")
    return " | ".join(facts)


def _draw_scale(bar: ByteImage, threshold: float, unit: float, right: int, line: int) -> int:
    """What the colours mean; the column where it begins."""
    scale, long, tall = 0.36 * unit, round(40 * unit), round(7 * unit)
    high = f"{threshold:.0f} px"
    begin = right - cv2.getTextSize(high, _FONT, scale, 1)[0][0] - round(5 * unit) - long
    if begin < bar.shape[1] // 2:
        return right
    shades = error_colours(np.linspace(0.0, threshold, long), threshold)
    bar[line - tall : line, begin : begin + long] = shades
    zero = begin - round(12 * unit)
    _write(bar, "0", (zero, line), _GREY, scale, right)
    _write(bar, high, (begin + long + round(5 * unit), line), _GREY, scale, right + 1)
    return zero


def _write(
    bar: ByteImage,
    text: str,
    place: tuple[int, int],
    colour: tuple[int, int, int],
    scale: float,
    right: int,
) -> int:
    """Write text that ends before the column ``right``, shortened to it; where it ends."""
    thick = max(1, round(2.0 * scale))
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts have nothing else

    def end(shown: str) -> int:
        return place[0] + int(cv2.getTextSize(shown, _FONT, scale, thick)[0][0])

    shown = plain
    if end(plain) > right:
        kept = len(plain)
        while kept > 0 and end(f"{plain[:kept]}...") > right:
            kept -= 1
        shown = f"{plain[:kept].rstrip()}..." if kept else ""
    cv2.putText(bar, shown, place, _FONT, scale, colour, thick, cv2.LINE_AA)
    return end(shown)
