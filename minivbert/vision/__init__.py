"""Transformers in vision: ViT, DeiT, and the convolutional network they are measured against."""
