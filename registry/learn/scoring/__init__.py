"""Scores that say what they rest on: metrics, intervals, comparisons, leaderboards."""
