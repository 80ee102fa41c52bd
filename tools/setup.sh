#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a machine without ROS ready: .venv with pinned packages and ROS 2 wheels, the stand-ins of
# underlay/, and this package, built with colcon. Done steps are skipped; after an interruption
# run it again. PYTHON=... chooses the interpreter (3.10 to 3.13).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=$root/.venv
state=$root/.ros
logs=$state/logs

if [ -n "${ROS_DISTRO:-}" ]; then
  echo "ROS $ROS_DISTRO is sourced: nothing to set up here; build this package with colcon as usual"
  exit 0
fi

fail() { echo "error: $*" >&2; exit 2; }
say() { echo "[$1/4] $2"; }

hash_of() { sha256sum | cut -d' ' -f1; }
is_done() { [ "$(cat "$state/$1.done" 2>/dev/null)" = "$2" ]; }
mark_done() { echo "$2" >"$state/$1.done"; }

# Runs "$@" into a log, with a sign of life every ten seconds ($2: a function that says how far).
logged() {
  local name=$1 progress=$2 start=$SECONDS next=10 pid
  shift 2
  set -m # a process group of its own, so that an interruption ends all of it
  "$@" >"$logs/$name.log" 2>&1 </dev/null &
  pid=$!
  set +m
  # shellcheck disable=SC2064
  trap "kill -- -$pid 2>/dev/null; exit 130" INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - start >= next)); then
      echo "      $((SECONDS - start)) s: $($progress "$logs/$name.log")"
      next=$((next + 10))
    fi
  done
  trap - INT TERM
  if ! wait "$pid"; then
    tail -n 40 "$logs/$name.log" >&2
    echo "error: $name failed; the whole log is in ${logs#"$root"/}/$name.log" >&2
    return 1
  fi
}

pip_progress() {
  if grep -q '^Installing collected packages: .*ros-' "$1"; then
    echo "unpacking"
  else
    echo "$(grep -c '^Collecting ' "$1" || true) of $(grep '==' constraints.txt | grep -vc '_version <') packages found"
  fi
}
build_progress() { tail -n 1 "$1" | cut -c1-80; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3.10 python3.13 python3}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
      2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# ---------------------------------------------------------------------------------------------
mkdir -p "$logs"
# One at a time: two builds in one folder spoil each other.
exec 9>"$state/lock"
flock -n 9 || { echo "another set-up is running, waiting for it"; flock 9; }

# A venv that was moved, or left by a pip that was killed, is not repaired but replaced.
if [ -e "$venv" ] && { [ -e "$state/pip-unfinished" ] ||
  ! "$venv/bin/python" -c '' 2>/dev/null || ! grep -qsF "$venv/bin" "$venv/bin/pip"; }; then
  echo "      .venv is incomplete: starting it afresh"
  rm -rf "$venv" "$state/packages.done"
fi
if [ ! -e "$venv" ]; then
  python=$(find_python) || fail "no Python 3.10 to 3.13 found; install one or set PYTHON=/path/to/it"
  say 1 "creating .venv with $("$python" --version)"
  touch "$state/pip-unfinished"
  "$python" -m venv "$venv" || fail "cannot create .venv: install python3-venv and run again"
else
  say 1 ".venv is there"
fi
include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$include/Python.h" ] || fail "no $include/Python.h: install the Python headers (python3-dev)"
command -v g++ >/dev/null || fail "no C++ compiler: install g++"

# ---------------------------------------------------------------------------------------------
# The pins are complete, so they are installed as they are: without a resolver, a registry that
# misses an answer is an error at once, not a search through all versions of everything.
install_packages() {
  local pip=("$venv/bin/pip" --disable-pip-version-check --no-input install
    --progress-bar off -c constraints.txt)
  # No build isolation: the one source package and our own build use the pinned setuptools.
  "${pip[@]}" pip setuptools wheel &&
    { "${pip[@]}" --no-build-isolation --no-deps -r constraints.txt || {
      echo "once more, after a pause" && sleep 10 &&
        "${pip[@]}" --no-build-isolation --no-deps -r constraints.txt
    }; } &&
    # What is left: this package, and what torch wants where there is no CPU build of it.
    "${pip[@]}" --no-build-isolation -r underlay/requirements.txt -e '.[dev]'
}
packages_key=$({ echo "$venv"; "$venv/bin/python" --version
  cat constraints.txt underlay/requirements.txt pyproject.toml setup.py tools/setup.sh; } | hash_of)
if is_done packages "$packages_key" && [ -x "$venv/bin/dsac" ]; then
  say 2 "Python packages and ROS 2 wheels are installed"
else
  say 2 "installing Python packages and ROS 2 Jazzy wheels (a few minutes)"
  touch "$state/pip-unfinished"
  if ! logged packages pip_progress install_packages; then
    # Nothing was unpacked yet (no network, say): the environment is still good.
    grep -q '^Installing collected packages: .*ros-' "$logs/packages.log" ||
      rm -f "$state/pip-unfinished"
    exit 1
  fi
  # The wheels' CMake files name the include folders of the machine that built them.
  "$venv/bin/python" - <<'PYTHON'
import re
import sys
import sysconfig
from pathlib import Path

import numpy

ours = {
    r"/opt/python/[^/;\"]+/include/python3\.\d+": sysconfig.get_path("include"),
    r"/opt/python/[^/;\"]+/lib/python3\.\d+/site-packages/numpy/_?core/include": numpy.get_include(),
}
for folder in ("share", "lib/cmake"):
    for file in Path(sys.prefix, folder).rglob("*.cmake"):
        text = fixed = file.read_text(encoding="utf-8", errors="surrogateescape")
        for theirs, replacement in ours.items():
            fixed = re.sub(theirs, lambda _, r=replacement: r, fixed)
        if fixed != text:
            file.write_text(fixed, encoding="utf-8", errors="surrogateescape")
PYTHON
  rm -f "$state/pip-unfinished"
  mark_done packages "$packages_key"
fi

# ---------------------------------------------------------------------------------------------
# Both builds see the wheels and nothing else that the calling shell may have sourced.
colcon_build() {
  (
    unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH
    # shellcheck source=tools/env.sh
    . "$root/tools/env.sh"
    unset PYTHONPATH
    export AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv
    colcon --log-base "$state/colcon" build --executor sequential --event-handlers \
      console_direct+ --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$venv/bin/python" \
      -Wno-unused-cli "$@"
  )
}

# twice NAME OPTIONS...: a half-finished build, or one of another kind, may be in the way; then once
# more from nothing.
twice() {
  local name=$1
  shift
  if ! logged "$name" build_progress colcon_build "$@" 2>/dev/null; then
    if [ "$name" = package ]; then
      rm -rf build/dsac_ros install/dsac_ros
    else
      rm -rf "$state/build" "$state/underlay"
    fi
    logged "$name" build_progress colcon_build "$@"
  fi
}

underlay_key=$({ echo "$packages_key"
  find underlay -type f ! -name '*.pyc' | LC_ALL=C sort | xargs sha256sum; } | hash_of)
if is_done underlay "$underlay_key" && [ -e "$state/underlay" ]; then
  say 3 "stand-ins for tf2_ros, message_filters and cv_bridge are built"
else
  say 3 "building the stand-ins for tf2_ros, message_filters and cv_bridge"
  twice underlay --cmake-clean-cache --merge-install \
    --build-base "$state/build" --install-base "$state/underlay" \
    --base-paths underlay/tf2_msgs underlay/tf2_ros underlay/message_filters underlay/cv_bridge
  mark_done underlay "$underlay_key"
fi

# ---------------------------------------------------------------------------------------------
# Installed with links, so only what CMake reads, and which files there are, asks for a new build.
package_key=$({ echo "$packages_key"
  { find msg srv package.xml CMakeLists.txt -type f 2>/dev/null || true; } | LC_ALL=C sort |
    xargs sha256sum
  { find dsac_core dsac_ros launch config scenes -type f ! -name '*.pyc' 2>/dev/null || true; } |
    LC_ALL=C sort; } | hash_of)
if is_done package "$package_key" && [ -e install/dsac_ros ]; then
  say 4 "dsac_ros is built"
else
  say 4 "building dsac_ros"
  twice package --symlink-install --base-paths . --packages-select dsac_ros
  mark_done package "$package_key"
fi
echo "ready: .venv/bin/dsac --help, or '. tools/env.sh' for a shell with ROS"
