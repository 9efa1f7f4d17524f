"""Pure functions on tensors and arrays, one method of the field in a file."""
