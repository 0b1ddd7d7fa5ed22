"""Prompts whose answers a program can check: the bundled suite, and a user's own."""

from runoff.evaluation.suite.checks import CHECKS, Check, Requirement
from runoff.evaluation.suite.prompts import Prompt, general_prompts, load_prompts, prompt_text

__all__ = ["CHECKS", "Check", "Prompt", "Requirement", "general_prompts", "load_prompts", "prompt_text"]
