"""The lake on a lakeFS server: its API and S3 gateway, with an embedded mirror of what was read."""
