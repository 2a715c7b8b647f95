"""What the pretrained model is for: forecasting, text to video, captions, zero-shot labels, retrieval, questions."""
