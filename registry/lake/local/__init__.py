"""The embedded lake: Git objects, Git-LFS objects and views of them in one folder."""
