"""Training that yields an epoch at a time, and models found again by what they follow from."""
