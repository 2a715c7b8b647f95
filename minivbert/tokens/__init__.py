"""tokens: from pixels, sound and captions to visual tokens and WordPieces."""
