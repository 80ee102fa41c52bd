# SPDX-License-Identifier: Apache-2.0
"""Starts the relocalizer: ``ros2 launch dsac_ros relocalize.launch.py scene:=office``.

Parameters come from config/relocalizer.yaml, then from config/scenes/<scene>.yaml where there is
one, then from params_file, then from the arguments that are given here.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# Arguments that are parameters of the node: name here, name there, description, choices.
PARAMETERS = (
    (
        "scene",
        "scene",
        "Scene map: a name in $DSAC_SCENES or ~/.ros/dsac/scenes, or a path; several with commas;"
        " auto: all that have a name",
        None,
    ),
    ("image_topic", "image_topic", "Topic of the images", None),
    (
        "camera_info_topic",
        "camera_info_topic",
        "Topic of the calibration (default: camera_info beside the images)",
        None,
    ),
    ("image_transport", "image_transport", "How images come", ("raw", "compressed")),
    (
        "image_geometry",
        "image_geometry",
        "Whether the images are rectified; auto: where the topic says image_rect",
        ("auto", "raw", "rectified"),
    ),
    ("depth_topic", "depth_topic", "Topic of the depth, registered to the images", None),
    ("depth_transport", "depth_transport", "How depth comes", ("raw", "compressedDepth")),
    ("mode", "mode", "Every image, or until the first fix", ("continuous", "once")),
    ("map_frame", "map_frame_id", "Frame of the poses (default: the one of the scene map)", None),
    ("odom_frame", "odom_frame_id", "Frame of the odometry; without it there is no odometry", None),
    ("base_frame", "base_frame_id", "Frame whose pose is published (default: the camera)", None),
    (
        "tf_mode",
        "tf_mode",
        "What to send on TF; auto: map_to_odom where an odometry frame is named",
        ("auto", "map_to_odom", "map_to_base", "none"),
    ),
    ("device", "device", "Where the network runs: cpu, cuda, cuda:<n> or auto", None),
)
BOOLEAN = ("true", "false")
LIBRARIES = ("rcl", "rmw_fastrtps_cpp")  # their debug messages, thousands, would hide the node's


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            name,
            default_value="",
            description=f"{description}. Empty: as the files say",
            choices=None if choices is None else ["", *choices],
        )
        for name, _, description, choices in PARAMETERS
    ]
    declare = DeclareLaunchArgument
    return LaunchDescription(
        [
            *arguments,
            declare(
                "rgbd",
                default_value="",
                choices=("", *BOOLEAN),
                description="Use depth, with scene maps made with it. Empty: as the files say",
            ),
            declare(
                "cameras",
                default_value="",
                description="Several cameras, with commas; the topics of each are <camera>/<topic>."
                " Empty: as the files say",
            ),
            declare(
                "max_rate",
                default_value="",
                description="Hz; while localized look at no more images than this; 0: all."
                " Empty: as the files say",
            ),
            declare("params_file", default_value="", description="A parameter file of your own"),
            declare("namespace", default_value="", description="Namespace of the node, per robot"),
            declare(
                "namespace_tf",
                default_value="false",
                choices=BOOLEAN,
                description="Use tf and tf_static of the namespace in place of /tf and /tf_static",
            ),
            declare(
                "use_sim_time",
                default_value="false",
                choices=BOOLEAN,
                description="Take the time from /clock, for simulators and bags",
            ),
            declare(
                "autostart",
                default_value="true",
                choices=BOOLEAN,
                description="Become active at once; false waits for a lifecycle manager",
            ),
            declare(
                "respawn",
                default_value="false",
                choices=BOOLEAN,
                description="Start the node again when it ends",
            ),
            declare(
                "log_level",
                default_value="info",
                choices=("debug", "info", "warn", "error", "fatal"),
                description="What the node logs",
            ),
            declare(
                "rviz", default_value="false", choices=BOOLEAN, description="Start RViz as well"
            ),
            OpaqueFunction(function=_nodes),
        ]
    )


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    config = Path(get_package_share_directory("dsac_ros")) / "config"
    of_scene = config / "scenes" / f"{Path(given('scene')).name}.yaml"
    files = [config / "relocalizer.yaml", of_scene]
    if given("params_file"):
        files.append(Path(given("params_file")).expanduser())
        if not files[-1].is_file():
            msg = f"params_file '{files[-1]}' does not exist"
            raise RuntimeError(msg)
    use_sim_time = given("use_sim_time") == "true"
    overrides = {
        # As a string: a scene called 42 is a name.
        parameter: ParameterValue(given(name), value_type=str)
        for name, parameter, _, _ in PARAMETERS
        if given(name)
    }
    if given("rgbd"):
        overrides["rgbd"] = given("rgbd") == "true"
    if given("cameras"):
        names = [name.strip() for name in given("cameras").split(",")]
        overrides["cameras"] = ParameterValue(names, value_type=list[str])
    if given("max_rate"):
        try:
            overrides["max_rate"] = float(given("max_rate"))
        except ValueError:
            msg = f"max_rate must be a number of Hz, got '{given('max_rate')}'"
            raise RuntimeError(msg) from None
    overrides["use_sim_time"] = use_sim_time
    overrides["autostart"] = given("autostart") == "true"
    tf = [(f"/{topic}", topic) for topic in ("tf", "tf_static") if given("namespace_tf") == "true"]
    levels = [given("log_level")]
    if levels == ["debug"]:
        levels += [f"{library}:=info" for library in LIBRARIES]
    nodes: list[LaunchDescriptionEntity] = []
    if of_scene.is_file():
        nodes.append(LogInfo(msg=f"parameters for the scene of this name: {of_scene}"))
    if given("rviz") == "true":  # first: where it is not installed, launch leaves behind what runs
        image = given("image_topic")
        nodes.append(
            Node(
                package="rviz2",
                executable="rviz2",
                namespace=given("namespace"),
                arguments=["-d", str(config / "relocalize.rviz")],
                parameters=[{"use_sim_time": use_sim_time}],
                remappings=[*tf, *([("image", image)] if image else [])],
                output="screen",
            )
        )
    nodes.append(
        Node(
            package="dsac_ros",
            executable="relocalize",
            name="relocalizer",
            namespace=given("namespace"),
            parameters=[*(str(file) for file in files if file.is_file()), overrides],
            remappings=tf,
            ros_arguments=[part for level in levels for part in ("--log-level", level)],
            respawn=given("respawn") == "true",
            respawn_delay=2.0,
            output="screen",
            emulate_tty=True,
        )
    )
    return nodes
