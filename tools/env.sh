# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Source this in bash to use what `make setup` built: Python, ROS 2 from wheels, the stand-ins of
# underlay/, and this package. Where ROS itself is sourced (ROS_DISTRO is set) it does nothing.

if [ -n "${ROS_DISTRO:-}" ]; then
  echo "tools/env.sh: ROS $ROS_DISTRO is sourced already, nothing to do" >&2
else
  _dsac_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  _dsac_venv=$_dsac_root/.venv
  _dsac_underlay=$_dsac_root/.ros/underlay
  _dsac_install=$_dsac_root/install/dsac_ros
  _dsac_site=$(cd "$_dsac_venv" 2>/dev/null && echo lib/python3.*/site-packages)

  # Puts $2 in front of the path list named $1, once.
  _dsac_prepend() {
    case ":${!1:-}:" in
      *":$2:"*) ;;
      *) export "$1=$2${!1:+:${!1}}" ;;
    esac
  }

  _dsac_prepend PATH "$_dsac_venv/bin"
  for _dsac_prefix in "$_dsac_venv" "$_dsac_underlay" "$_dsac_install"; do
    _dsac_prepend AMENT_PREFIX_PATH "$_dsac_prefix"
    _dsac_prepend CMAKE_PREFIX_PATH "$_dsac_prefix"
  done

  # The wheels keep their own copies of third-party libraries in site-packages/ros_*.libs.
  for _dsac_libs in "$_dsac_venv/$_dsac_site"/ros_*.libs \
    "$_dsac_venv/lib" "$_dsac_underlay/lib" "$_dsac_install/lib"; do
    _dsac_prepend LD_LIBRARY_PATH "$_dsac_libs"
  done
  # Without this the wheels start Python a second time to set LD_LIBRARY_PATH.
  export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1

  # The working tree comes first: an edit counts without a build.
  _dsac_prepend PYTHONPATH "$_dsac_install/$_dsac_site"
  _dsac_prepend PYTHONPATH "$_dsac_underlay/$_dsac_site"
  _dsac_prepend PYTHONPATH "$_dsac_root"

  # Large images over best-effort QoS need a larger shared-memory segment. Fast DDS 2 (up to Jazzy)
  # and 3 (from Kilted on) know the file by different names.
  if [ -f "$_dsac_root/config/fastdds.xml" ]; then
    : "${FASTRTPS_DEFAULT_PROFILES_FILE:=$_dsac_root/config/fastdds.xml}"
    : "${FASTDDS_DEFAULT_PROFILES_FILE:=$FASTRTPS_DEFAULT_PROFILES_FILE}"
    export FASTRTPS_DEFAULT_PROFILES_FILE FASTDDS_DEFAULT_PROFILES_FILE
  fi
  export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"

  unset -f _dsac_prepend
  unset _dsac_root _dsac_venv _dsac_underlay _dsac_install _dsac_site _dsac_prefix _dsac_libs
fi
