"""The MLX engine: mlx-lm's models and layers. Imported on demand."""
