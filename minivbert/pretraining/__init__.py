"""From tokens to losses: segments, inputs, masking, alignment pairs, the weighted objective."""
