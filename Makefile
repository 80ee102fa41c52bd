# SPDX-License-Identifier: Apache-2.0
# Everything works in a fresh clone: each target sets up what it needs first, and skips what is done.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ENV := . tools/env.sh

.PHONY: help setup demo test lint bench soak studies format clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

setup: ## .venv, ROS 2 wheels, stand-ins and this package (minutes at first, then a second)
	@tools/setup.sh

demo: setup ## a synthetic office: record, map, localize live, compare with the truth
	@tools/demo.sh

test: setup ## all tests; ARGS="-k pose" for some
	@$(ENV) && DSAC_TEST_ROS=required python3 -m pytest $(ARGS)

lint: setup ## ruff and mypy
	@$(ENV) && ruff check . && ruff format --check . && mypy

bench: setup ## measurements that are too long for tests, beside other software
	@$(ENV) && python3 -m bench.ransac && python3 -m bench.query_speed

soak: setup ## an hour of faults for the real node, docs/soak.md; MINUTES=10 for less
	@$(ENV) && DSAC_TEST_ROS=required DSAC_SOAK_MINUTES=$(or $(MINUTES),60) \
	  DSAC_SOAK_REPORT=$(CURDIR)/out/soak.json python3 -m pytest -s test/ros/test_soak.py

studies: setup ## the questions of the DSAC papers asked small, written to docs/results.md: 45 minutes on one core
	@$(ENV) && python3 -m bench.studies all

format: setup ## let ruff put the layout right
	@$(ENV) && ruff check --fix . ; ruff format .

clean: ## remove what the builds and tests left; .venv stays
	rm -rf build install log .ros demo .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
