# SPDX-License-Identifier: Apache-2.0
"""Steps per second of training a network of DSAC*, part by part, on full images of 640x480.

Both stages, batches as asked, in single and in mixed precision; and the hours that the paper's
schedule takes at that rate: a million steps of initialisation and 100 000 end to end, one image
each. In end-to-end steps, RANSAC gets scene coordinates as of a trained network (5 cm of noise,
30 % wrong) in place of those of this untrained one, for its time depends on them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch

from bench import machine
from bench.studies.judge import Row
from bench.studies.recording import office_frames
from bench.studies.report import write_report
from bench.studies.study import Column, Section, described, shown_command
from dsac_core.files import write_json
from dsac_core.networks.coordinate_networks import NETWORK_NAMES, make_coordinate_network
from dsac_core.networks.precision import training_dtype
from dsac_core.ransac.expected_loss import hypothesis_losses
from dsac_core.relocalizer import choose_device
from dsac_core.training.augmentation import AugmentationConfig, ImageBatch, augmented
from dsac_core.training.dense_config import DenseMapConfig, StageConfig
from dsac_core.training.init_loss import init_loss
from dsac_core.training.posed_images import PosedImage, prepare
from dsac_core.training.stages import Learner

HEIGHT = 480
INIT, E2E = "init", "e2e"
SINGLE, MIXED = "float32", "mixed"
# With mixed precision the layout of the weights is another one, and stays so end to end, where all
# is computed in single precision.
MIXED_ROW = (INIT, MIXED)
ROWS = ((INIT, SINGLE), MIXED_ROW, (E2E, MIXED))
PAPER_STEPS = {INIT: 1_000_000, E2E: 100_000}
# The scale at which an image has as many pixels as one of random scale has on average.
_SCALE = math.sqrt((1.5**3 - (2 / 3) ** 3) / (3 * (1.5 - 2 / 3)))
_AUGMENTATION = AugmentationConfig(scale_min=_SCALE, scale_max=_SCALE)
_NOISE, _WRONG, _BOX = 0.05, 0.3, 2.0  # metres, share, metres

SECTION = Section(
    name="training-speed",
    title="How fast networks of DSAC* train",
    intro=(
        "DSAC* (section 6.1) trains for a million steps of initialisation and 100 000 end to end,"
        " one image of 480 px height each, which took two days and twelve more hours on a Tesla"
        " K80. How long is a step here, and where does the time go? Times are medians, in ms, with"
        " images of 640x480 and the paper's augmentation (at 111 %, the scale of the mean number"
        " of pixels): wall time on a GPU, processor time of one thread on a CPU."
    ),
    notes=(
        "*e2e* splits into the network forward, RANSAC forward (64 hypotheses), RANSAC backward"
        " and the network backward. RANSAC gets scene coordinates with 5 cm of noise of which 30 %"
        " are wrong, as of a trained network, for its time depends on them. *Hours* are"
        " those of the paper's schedule for this stage at this rate, and only given for batches of"
        " one image, which the paper has."
    ),
    columns=(
        Column("network", "network"),
        Column("stage", "stage"),
        Column("batch", "batch"),
        Column("precision", "precision"),
        Column("steps", "measured steps"),
        Column("per_second", "steps/s", 3),
        Column("augmentation_ms", "augmentation", 1),
        Column("forward_ms", "forward", 1),
        Column("loss_ms", "loss or RANSAC forward", 1),
        Column("ransac_backward_ms", "RANSAC backward", 1),
        Column("backward_ms", "backward", 1),
        Column("optimiser_ms", "optimiser", 1),
        Column("hours", "hours of the paper's schedule", 1),
    ),
)


@dataclass
class Clock:
    """Milliseconds between calls, by name.

    Wall time on a GPU, after waiting for it; on a CPU the processor time of this process, which has
    one thread, so that what else runs on the machine does not count.
    """

    device: torch.device
    last: float = 0.0

    def start(self) -> dict[str, float]:
        self.last = self._now()
        return {}

    def lap(self, times: dict[str, float], name: str) -> None:
        now = self._now()
        times[f"{name}_ms"] = 1e3 * (now - self.last)
        self.last = now

    def _now(self) -> float:
        if self.device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()


class Trainee:
    """A network that takes steps of training, and how long their parts take."""

    def __init__(self, network: str, precision: str, device: torch.device) -> None:
        self.device, self.clock = device, Clock(device)
        self.config = DenseMapConfig(
            network=network, init=StageConfig(augmentation=_AUGMENTATION), image_height=HEIGHT
        )
        dtype = _mixed_dtype(device) if precision == MIXED else torch.float32
        torch.manual_seed(0)
        module = make_coordinate_network(network).to(device).train()
        if dtype != torch.float32:  # as in training
            module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learner = Learner(module, None, self.config, dtype)
        self.optimizer = torch.optim.Adam(self.learner.parameters("init"), lr=1e-6)
        self.generator = torch.Generator().manual_seed(0)

    def step(self, stage: str, images: Sequence[PosedImage]) -> dict[str, float]:
        """One step; milliseconds of its parts."""
        kind = self.config.init if stage == INIT else self.config.e2e
        times = self.clock.start()
        batch = augmented(images, kind.augmentation, self.generator, self.device)
        self.clock.lap(times, "augmentation")
        predicted = self.learner.predict(batch, roughly=stage == INIT)
        self.clock.lap(times, "forward")
        if stage == INIT:
            loss = init_loss(predicted, batch, self.config.setting, self.config.loss).mean
            self.clock.lap(times, "loss")
            loss.backward()
        else:
            gradient = self._ransac(batch, times)
            self.clock.lap(times, "ransac_backward")
            predicted.backward(gradient)
        self.clock.lap(times, "backward")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.clock.lap(times, "optimiser")
        return times

    def _ransac(self, batch: ImageBatch, times: dict[str, float]) -> torch.Tensor:
        points = _as_trained(batch).requires_grad_()
        self.clock.start()  # what a trained network would have predicted costs nothing
        losses = hypothesis_losses(
            self.learner.correspondences(batch, points),
            batch.cam_T_world_B34,
            self.config.ransac,
            self.generator,
            loss=self.config.pose_loss,
        )
        loss = losses.expected_B().mean()
        self.clock.lap(times, "loss")
        loss.backward()
        assert points.grad is not None
        return points.grad


def measure(
    network: str, count: int, device: torch.device, steps: int, seconds: float
) -> Iterator[Row]:
    """A row for each stage and precision: medians after one step to warm up."""
    images = [prepare(frame, HEIGHT) for frame in office_frames(count, HEIGHT)]
    for stage, precision in ROWS:
        trainee = Trainee(network, precision, device)
        taken: list[dict[str, float]] = []
        trainee.step(stage, images)
        end = time.perf_counter() + seconds
        while len(taken) < steps and (not taken or time.perf_counter() < end):
            taken.append(trainee.step(stage, images))
        parts = {part: _median(each[part] for each in taken) for part in taken[0]}
        rate = 1e3 / _median(sum(each.values()) for each in taken)
        hours = PAPER_STEPS[stage] / rate / 3600 if count == 1 else None
        yield {
            "network": network,
            "stage": stage,
            "batch": count,
            "precision": _name(_mixed_dtype(device)) if (stage, precision) == MIXED_ROW else SINGLE,
            "steps": len(taken),
            "per_second": round(rate, 4),
            **{part: round(value, 2) for part, value in parts.items()},
            "hours": None if hours is None else round(hours, 2),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the figures, and the report with them."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(given)
    machine.use_one_thread()
    device = choose_device(args.device)
    end = time.perf_counter() + args.most
    rows: list[Row] = []
    for count, network in itertools.product(args.batch, args.network):
        for row in measure(network, count, device, args.steps, args.seconds):
            rows.append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            if time.perf_counter() > end:
                break
        if time.perf_counter() > end:
            print("the time is over: the rest is left out")
            break
    content = {
        "study": SECTION.name,
        "command": " ".join(shown_command("bench.training_speed", given)),
        "date": date.today().isoformat(),
        "settings": {},
        "machine": described(device),
        "rows": rows,
    }
    write_json(args.docs / "results" / f"{SECTION.name}.json", content)
    from bench.studies.__main__ import SECTIONS  # which has this module's, too

    print(f"written: {write_report(args.docs, SECTIONS)}")
    return 0


def _as_trained(batch: ImageBatch) -> torch.Tensor:
    """Scene points [B x N x 3] as a trained network predicts them."""
    generator = torch.Generator().manual_seed(0)
    shape = batch.pixels_BN2.shape[:2]
    # The office is nowhere further than this where its depth is unknown.
    depth = torch.where(batch.known_BN, batch.depth_BN, 2.5)
    points = batch.points_at(depth)
    noise = _NOISE * torch.randn(*shape, 3, generator=generator)
    anywhere = _BOX * torch.randn(*shape, 3, generator=generator)
    wrong = torch.rand(*shape, 1, generator=generator) < _WRONG
    return (points + torch.where(wrong, anywhere, noise).to(points)).detach()


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _mixed_dtype(device: torch.device) -> torch.dtype:
    """As in training; where a CPU gains nothing by it, it is measured all the same."""
    dtype = training_dtype(device)
    return torch.bfloat16 if dtype == torch.float32 else dtype


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.training_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or auto")
    parser.add_argument(
        "--network", nargs="+", choices=NETWORK_NAMES, default=["dsacstar-tiny", "dsacstar"]
    )
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16], help="images a step")
    parser.add_argument("--steps", type=int, default=20, help="measured, for each row, at most")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="after which a row gets no more steps"
    )
    parser.add_argument(
        "--most", type=float, default=3600.0, help="seconds after which no more rows are begun"
    )
    docs = Path(__file__).parents[1] / "docs"
    parser.add_argument("--docs", type=Path, default=docs, help="where results.md and results/ go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
