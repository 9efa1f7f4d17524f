"""Grader's pages for papers that were handed in."""
