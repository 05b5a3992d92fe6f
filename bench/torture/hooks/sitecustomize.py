"""Python reads this file at its start, before the hub: this folder stands first on the PYTHONPATH of its processes."""

from bench.torture import wounds

wounds.install()
