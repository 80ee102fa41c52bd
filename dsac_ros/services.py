# SPDX-License-Identifier: Apache-2.0
"""The node's services. They answer while the network runs, in any state of the lifecycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from std_srvs.srv import Trigger

from dsac_core.errors import DsacError
from dsac_core.scene.locate import known_scenes
from dsac_ros.deferred import Deferred, allow_deferred
from dsac_ros.messages import result_message
from dsac_ros.requests import Answer
from dsac_ros.session import INACTIVE
from dsac_ros.srv import ListScenes, LoadScene, LocalizeImage, SetPose, TriggerLocalization

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.lifecycle import LifecycleNode

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
        self._session = session
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
            allow_deferred(node.create_service(kind, f"~/{name}", callback))

    def _trigger(
        self, request: TriggerLocalization.Request, response: TriggerLocalization.Response
    ) -> TriggerLocalization.Response | Deferred:
        return self._result(response, lambda session, done: session.trigger(request, done))

    def _localize(
        self, request: LocalizeImage.Request, response: LocalizeImage.Response
    ) -> LocalizeImage.Response | Deferred:
        return self._result(response, lambda session, done: session.localize(request, done))

    def _result(
        self, response: Any, ask: Callable[[Session, Callable[[Answer], None]], None]
    ) -> Any:
        """The response with what the session answers, or that there is none."""
        session = self._session()
        if session is None:
            response.result = result_message(Answer(UNCONFIGURED), "")
            return response
        later, map_frame = Deferred(), session.map_frame

        def done(answer: Answer) -> None:
            response.result = result_message(answer, map_frame)
            later.set_result(response)

        ask(session, done)
        return later

    def _load_scene(
        self, request: LoadScene.Request, response: LoadScene.Response
    ) -> LoadScene.Response | Deferred:
        session = self._session()
        if session is None:
            response.success, response.message = False, UNCONFIGURED
            return response
        later = Deferred()

        def done(end: tuple[bool, str]) -> None:
            response.success, response.message = end
            later.set_result(response)

        session.load_scene(request.scene, done)
        return later

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
