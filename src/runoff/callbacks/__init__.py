"""Recorders for other tools' training loops: they write the run folder that `runoff train` would have written.

`runoff.callbacks.mlx_lm` for mlx-lm's trainer, `runoff.callbacks.transformers` for Hugging Face's Trainer and TRL's.
"""
