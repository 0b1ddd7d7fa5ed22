"""Runoff's own loop on the MLX engine."""

from benchmarks.contenders.runoff_torch import main

if __name__ == "__main__":
    main("mlx")
