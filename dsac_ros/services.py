# SPDX-License-Identifier: Apache-2.0
"""The node's services. They answer while the network runs, in any state of the lifecycle.

A callback that has to wait is a coroutine: it awaits a future, and the executor goes on. The thread
that completes the future wakes the executor, which then sends the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from std_srvs.srv import Trigger

from dsac_core.errors import DsacError
from dsac_core.scene.locate import known_scenes
from dsac_ros.messages import result_message
from dsac_ros.requests import Answer
from dsac_ros.session import INACTIVE
from dsac_ros.srv import ListScenes, LoadScene, LocalizeImage, SetPose, TriggerLocalization

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.lifecycle import LifecycleNode

    from dsac_ros.msg import RelocalizationResult
    from dsac_ros.session import Session

UNCONFIGURED = "the node is not configured: configure and activate it"


class Services:
    """Offers them for as long as the node lives.

    Args:
        node: Owns the services.
        session: What they act on; None while the node is not configured.
    """

    def __init__(self, node: LifecycleNode, session: Callable[[], Session | None]) -> None:
        """Offer them."""
        self._node = node
        self._session = session
        self._awaited = 0
        # Reentrant: a call that waits must not hold back the images that it waits for.
        group = ReentrantCallbackGroup()
        for kind, name, callback in (
            (TriggerLocalization, "trigger", self._trigger),
            (LocalizeImage, "localize", self._localize),
            (LoadScene, "load_scene", self._load_scene),
            (ListScenes, "list_scenes", self._list_scenes),
            (SetPose, "set_pose", self._set_pose),
            (Trigger, "reset", self._reset),
            (Trigger, "pause", self._pause),
            (Trigger, "resume", self._resume),
        ):
            node.create_service(kind, f"~/{name}", callback, callback_group=group)

    async def _trigger(
        self, request: TriggerLocalization.Request, response: TriggerLocalization.Response
    ) -> TriggerLocalization.Response:
        response.result = await self._result(lambda session, done: session.trigger(request, done))
        return response

    async def _localize(
        self, request: LocalizeImage.Request, response: LocalizeImage.Response
    ) -> LocalizeImage.Response:
        response.result = await self._result(lambda session, done: session.localize(request, done))
        return response

    async def _result(
        self, ask: Callable[[Session, Callable[[Answer], None]], None]
    ) -> RelocalizationResult:
        """What the session answers, or that there is none."""
        session = self._session()
        if session is None:
            return result_message(Answer(UNCONFIGURED), "")
        answer = await self._answer(lambda done: ask(session, done))
        return result_message(answer, session.map_frame)

    async def _load_scene(
        self, request: LoadScene.Request, response: LoadScene.Response
    ) -> LoadScene.Response:
        session = self._session()
        if session is None:
            response.success, response.message = False, UNCONFIGURED
        else:
            response.success, response.message = await self._answer(
                lambda done: session.load_scene(request.scene, done)
            )
        return response

    def _list_scenes(
        self, _request: ListScenes.Request, response: ListScenes.Response
    ) -> ListScenes.Response:
        known = known_scenes()
        response.names = list(known)
        response.folders = list(map(str, known.values()))
        session = self._session()
        if session is not None:
            response.loaded = session.scenes.names
            response.current = session.scenes.current
        return response

    def _set_pose(self, request: SetPose.Request, response: SetPose.Response) -> SetPose.Response:
        session = self._session()
        response.success, response.message = False, UNCONFIGURED
        if session is not None:
            try:
                session.set_pose(request.pose)
                response.success, response.message = True, "searching from there"
            except DsacError as error:
                response.message = str(error)
        return response

    def _reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._act(response, lambda session: session.reset("asked to"), "searching anew")

    def _pause(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._act(response, lambda session: session.pause(), "paused")

    def _resume(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._act(response, lambda session: session.resume(), "searching")

    def _act(
        self, response: Trigger.Response, action: Callable[[Session], None], done: str
    ) -> Trigger.Response:
        session = self._session()
        response.success = session is not None and session.active
        response.message = done if response.success else UNCONFIGURED if not session else INACTIVE
        if session is not None and session.active:
            action(session)
        return response

    @property
    def awaited(self) -> int:
        """How many calls wait for their answer, or have it and it is not sent yet."""
        return self._awaited

    async def _answer(self, ask: Callable[[Callable[[Any], None]], None]) -> Any:
        """What ``ask`` hands to its argument, now or later and in any thread."""
        future = Future(executor=self._node.executor)
        # Up to Jazzy nothing but a callback on the future wakes the executor when it is done.
        future.add_done_callback(lambda _: None)
        ask(future.set_result)
        self._awaited += 1
        try:
            return await future
        finally:
            self._awaited -= 1
