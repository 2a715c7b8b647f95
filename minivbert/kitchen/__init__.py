"""A cooking-show world whose every probability is known."""
