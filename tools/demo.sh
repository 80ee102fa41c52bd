#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A synthetic office, recorded twice: mapped from the first walk, localized live in the second over
# real DDS, compared with the truth. Run by `make demo` after the set-up; skips what is done.
# DEMO_BUDGET: seconds of mapping (120). DEMO_RATE: times the recorded rate (1).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/env.sh
. tools/env.sh

budget=${DEMO_BUDGET:-120}
rate=${DEMO_RATE:-1}
demo=build/demo
scene=$demo/scenes/office
export DSAC_SCENES=$PWD/$demo/scenes
# Fast DDS 2 (up to Jazzy) and 3 (from Kilted on) know the file by different names.
export FASTRTPS_DEFAULT_PROFILES_FILE=$PWD/config/fastdds.xml
export FASTDDS_DEFAULT_PROFILES_FILE=$FASTRTPS_DEFAULT_PROFILES_FILE
export ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-57}  # apart from the robots in the next room
mkdir -p "$demo"

# What `ros2 run dsac_ros` starts; a machine without ROS has no ros2 command.
program() {
  if [ -x "install/dsac_ros/lib/dsac_ros/$1" ]; then
    exec "install/dsac_ros/lib/dsac_ros/$@"
  fi
  exec ros2 run dsac_ros "$@"
}
step() { printf '\n[%s/5] %s\n' "$1" "$2"; SECONDS=0; }
took() { printf '      (%d s)\n' "$SECONDS"; }

node=
stop_node() {
  if [ -n "$node" ]; then
    # The whole group: `ros2 run` and the node are two processes on a ROS machine.
    kill -INT -- "-$node" 2>/dev/null || true
    for _ in $(seq 50); do
      kill -0 -- "-$node" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$node" 2>/dev/null || true
    wait "$node" 2>/dev/null || true
    node=
  fi
}
trap stop_node EXIT
trap 'exit 130' INT TERM

step 1 "an office, walked through twice, as bags in $demo"
if [ -f "$demo/office_mapping/metadata.yaml" ] && [ -f "$demo/office_test/metadata.yaml" ]; then
  echo "      already there"
else
  dsac office "$demo"
fi
took

step 2 "mapping the first walk, from colour images and poses alone (at most $budget s)"
if [ "$scene/scene.json" -nt "$demo/office_mapping/metadata.yaml" ] \
  && [ ! -e "$scene.training.pt" ]; then  # not one that Ctrl-C ended
  echo "      already there, newer than the bag"
else
  dsac train "$demo/office_mapping" --scene office --pose-topic /ground_truth --out "$scene" \
    --budget-seconds "$budget" --replace
fi
took

step 3 "starting the node: relocalize, scene:=office"
set -m  # so that the node leads a process group of its own
program relocalize --ros-args \
  --params-file config/relocalizer.yaml --params-file config/scenes/office.yaml \
  -p scene:=office -p use_sim_time:=true &
node=$!
set +m
took

step 4 "replaying the second walk over DDS at $rate x the recorded rate, from another process"
result=0
(program replay "$demo/office_test" --clock --rate "$rate" --min-recall 90 \
  --wait-for-node 60 --report "$demo/report") || result=$?
took

step 5 "stopping the node"
stop_node
took
if [ "$result" -eq 0 ]; then
  printf '\nThe robot knows where it is. See %s/report/trajectory.png\n' "$demo"
else
  printf '\nThe demo failed (exit code %d).\n' "$result" >&2
fi
exit "$result"
