"""Runoff: which of your LoRA fine-tuning runs to ship, and the evidence."""

__version__ = "0.1.0"
