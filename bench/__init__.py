"""Figures, as ratios in one run: the machines are noisy, their ratios less so. `python -m bench` prints them all."""
