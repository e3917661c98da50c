"""The card of a dataset: its README, what its front matter promises, and how that is read."""
