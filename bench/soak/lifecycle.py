# SPDX-License-Identifier: Apache-2.0
"""What a manager of lifecycle nodes does to a running node, while images come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lifecycle_msgs.msg import State as LifecycleState
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.soak.soak import Soak

CYCLES = 3
LISTENED = 1.0  # s to an inactive node

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
STATES = {
    CONFIGURE: LifecycleState.PRIMARY_STATE_INACTIVE,
    CLEANUP: LifecycleState.PRIMARY_STATE_UNCONFIGURED,
    ACTIVATE: LifecycleState.PRIMARY_STATE_ACTIVE,
    DEACTIVATE: LifecycleState.PRIMARY_STATE_INACTIVE,
}


def deactivated(soak: Soak) -> None:
    """And activated again: once later, then at once."""
    for cycle in range(CYCLES):
        _deactivate(soak)
        if cycle == 0:
            _listen_to_silence(soak)
        searching = soak.oracle.counts["images SEARCHING"]
        _activate(soak)
        if soak.oracle.counts["images SEARCHING"] == searching:
            soak.oracle.violate("activated, and what was before is still believed")


def cleaned_up(soak: Soak) -> None:
    """And configured again, which loads the scene, and the saved pose as a prior."""
    for cycle in range(CYCLES):
        _deactivate(soak)
        _change(soak, CLEANUP)
        if cycle == 0:
            _listen_to_silence(soak)
        _change(soak, CONFIGURE)
        if cycle == 0:
            _listen_to_silence(soak)
        _activate(soak)


def transitions_out_of_turn(soak: Soak) -> None:
    """They are refused and change nothing."""
    for transition in (CONFIGURE, ACTIVATE, CLEANUP):
        _refused(soak, transition, LifecycleState.PRIMARY_STATE_ACTIVE)
    soak.must_localize()  # without SEARCHING in between, which the oracle sees
    _deactivate(soak)
    for transition in (DEACTIVATE, CONFIGURE):
        _refused(soak, transition, LifecycleState.PRIMARY_STATE_INACTIVE)
    _change(soak, CLEANUP)
    for transition in (ACTIVATE, DEACTIVATE, CLEANUP):
        _refused(soak, transition, LifecycleState.PRIMARY_STATE_UNCONFIGURED)
    _change(soak, CONFIGURE)
    _activate(soak)


def _deactivate(soak: Soak) -> None:
    _change(soak, DEACTIVATE)
    soak.oracle.silence(time.monotonic())


def _activate(soak: Soak) -> None:
    soak.oracle.listen(time.monotonic())
    _change(soak, ACTIVATE)
    soak.must_localize()


def _listen_to_silence(soak: Soak) -> None:
    """Poses and map -> odom are the oracle's."""
    soak.drive(soak.oracle.margin)
    statuses = soak.oracle.counts["statuses"]
    soak.drive(LISTENED)
    if soak.oracle.counts["statuses"] > statuses:
        soak.oracle.violate("a status of a node that is not active")


def _change(soak: Soak, transition: int) -> None:
    if not _succeeds(soak, transition):
        soak.oracle.violate(f"the lifecycle transition {transition} fails")
    _must_be(soak, STATES[transition])


def _refused(soak: Soak, transition: int, state: int) -> None:
    if _succeeds(soak, transition):
        soak.oracle.violate(f"the lifecycle transition {transition} in state {state} succeeds")
    _must_be(soak, state)


def _succeeds(soak: Soak, transition: int) -> bool:
    answer = soak.call(ChangeState, "change_state", transition=Transition(id=transition))
    return bool(answer and answer.success)


def _must_be(soak: Soak, state: int) -> None:
    answer = soak.call(GetState, "get_state")
    if answer and answer.current_state.id != state:
        soak.oracle.violate(f"the lifecycle state is {answer.current_state.label}")


LIFECYCLE: tuple[Callable[[Soak], None], ...] = (
    deactivated,
    cleaned_up,
    transitions_out_of_turn,
)
