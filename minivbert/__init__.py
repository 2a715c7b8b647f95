"""minivbert: VideoBERT and transformers in vision, small, whole and measured against known truth."""
