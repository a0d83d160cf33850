"""A number over verdicts as a formula of sums with its bootstrap interval by image (metric), a share (wilson), a difference (paired)."""
