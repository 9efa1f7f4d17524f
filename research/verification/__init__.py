"""Whether a paper is what was built, what it differs in, and whether it can be handed in."""
