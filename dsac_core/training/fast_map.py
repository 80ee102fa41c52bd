# SPDX-License-Identifier: Apache-2.0
"""Fast mapping: frozen features of the whole recording in memory, and a head trained on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dsac_core.errors import DatasetError
from dsac_core.progress import silent
from dsac_core.training.calibration import calibrate_map
from dsac_core.training.fast_mapping import FastMapping, MappingJob
from dsac_core.training.interrupt import deferred_interrupt
from dsac_core.training.workers import ALONE

if TYPE_CHECKING:
    from pathlib import Path

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.progress import Progress
    from dsac_core.scene.scene_map import SceneMap
    from dsac_core.training.encoded_recording import Validation
    from dsac_core.training.fast_map_config import FastMapConfig
    from dsac_core.training.workers import Workers


class MappingInterrupted(KeyboardInterrupt):
    """Ctrl-C while a head was trained; what it knows by then is a map, if it is any good."""

    def __init__(self, where: str, scene: SceneMap | None, held_out: list[Frame]) -> None:
        """Take how far training came, the map (None: useless yet), and the frames to check with."""
        super().__init__(f"training ended at {where}")
        self.where, self.scene, self.held_out = where, scene, held_out


def map_scene(
    dataset: Dataset,
    split: str,
    config: FastMapConfig,
    *,
    name: str,
    frame_id: str = "map",
    device: torch.device | None = None,
    progress: Progress = silent,
    checkpoint_file: Path | None = None,
    resume: bool = False,
    begin_with: SceneMap | None = None,
    validation: Validation | None = None,
    workers: Workers = ALONE,
) -> SceneMap:
    """Make a scene map of one split of a recording, within ``config.budget_seconds``.

    Args:
        dataset: The recording.
        split: Its part to learn from.
        config: The settings.
        name: Of the scene.
        frame_id: Of the frame in which the recording's poses are: the robot's map frame.
        device: Where to compute, by default the CPU.
        progress: Is told how far it is.
        checkpoint_file: Where unfinished training is kept; it stays until the caller removes it.
        resume: Go on from that file. With ``config.iterations`` the weights are those that an
            uninterrupted run ends with, to the last bit, on the same machine and number of
            threads; with a budget of seconds, the seconds spent in training count on.
        begin_with: A fast map whose head to train on, instead of a new one.
        validation: Frames to check the map with; by default some of the recording are held out.
        workers: Processes that train together; the map of any but the first is not checked.

    Raises:
        DatasetError: There are too few frames, or what was learned from them is useless.
        ConfigError: The checkpoint or the map to begin with does not fit the settings.
        MappingInterrupted: The user pressed Ctrl-C while the head was trained. The checkpoint, if
            there is one, has every step.
        KeyboardInterrupt: The user pressed it again, or at another time.
    """
    device = device or torch.device("cpu")
    job = MappingJob(
        dataset, split, config, name, frame_id, device, progress, checkpoint_file, begin_with,
        validation, workers,
    )  # fmt: skip
    mapping = FastMapping(job, resume=resume)
    loop = mapping.loop()
    with deferred_interrupt() as interrupted:
        if config.regression and not loop.run(interrupted):
            progress("cooling down", 0.0)
            mapping.trainer.cool_down(loop.done)
            progress("cooling down", 1.0)
            try:
                scene = _checked(mapping.scene(interrupted=loop.where), mapping, job)
            except DatasetError:
                scene = None
            raise MappingInterrupted(loop.where, scene, mapping.recording.held_out)
        finetuned = mapping.finetune(interrupted)
    try:
        return _checked(mapping.scene(**finetuned), mapping, job)
    except DatasetError:
        if checkpoint_file is not None:
            checkpoint_file.unlink(missing_ok=True)  # the same settings would end here again
        raise


def _checked(scene: SceneMap, mapping: FastMapping, job: MappingJob) -> SceneMap:
    """The map, calibrated by the first worker in the frame of the recordings."""
    if job.workers.rank == 0:
        scene = calibrate_map(scene, mapping.recording.held_out, job.device, job.progress)
    return replace(scene, regressor=scene.regressor.cpu(), map_T_scene=mapping.map_T_scene)
