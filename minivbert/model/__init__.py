"""The transformer, and VideoBERT on top of it."""
