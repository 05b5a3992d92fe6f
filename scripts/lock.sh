#!/bin/sh
# Writes requirements/run.txt (the hub), servers.txt (the same with PostgreSQL, RabbitMQ and Redis) and dev.txt (the same
# with what the tests need): every package at one version, with hashes, no addresses.
# Run it after a change of dependencies in pyproject.toml, from a virtual environment that has pip-tools.
set -eu
cd "$(dirname "$0")/.."
export CUSTOM_COMPILE_COMMAND="scripts/lock.sh"
options="--quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate"
# shellcheck disable=SC2086
pip-compile $options --extra build -o requirements/run.txt pyproject.toml
# shellcheck disable=SC2086
pip-compile $options --extra build,postgres,redis,rabbitmq -c requirements/run.txt -o requirements/servers.txt pyproject.toml
# shellcheck disable=SC2086
pip-compile $options --extra build,dev,postgres,redis,rabbitmq -c requirements/servers.txt -o requirements/dev.txt pyproject.toml
