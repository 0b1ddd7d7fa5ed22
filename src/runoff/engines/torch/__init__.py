"""The torch engine: transformers' models, a lean pass over those that it knows, PEFT's layers. Imported on demand."""
