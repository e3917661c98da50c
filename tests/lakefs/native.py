"""lakeFS's own client in few words."""

import time

import lakefs_sdk
import pytest


def api(repo):
    return repo._client.sdk_client


def commit(branch, files, message="change", **options):
    for path, data in files.items():
        if data is None:
            branch.object(path).delete()
        else:
            branch.object(path).upload(data, mode="wb")
    return branch.commit(message, **options).id


def branched(repo, name, files, at="main", **options):
    branch = repo.branch(name).create(at, **options)
    commit(branch, files)
    return branch


def upload(repo, branch, path, data=b"1", **options):
    return api(repo).objects_api.upload_object(repo.id, branch, path, content=data, **options)


def paths(ref):
    return [stat.path for stat in ref.objects()]


def protect(repo, pattern):
    """Protect branches and wait until it is so."""
    rules = [lakefs_sdk.BranchProtectionRule(pattern=name) for name in (pattern, "probe")]
    repo.branch("probe").create("main", exist_ok=True)
    api(repo).repositories_api.set_branch_protection_rules(repo.id, rules)
    for _ in range(600):
        try:
            upload(repo, "probe", f"{time.monotonic_ns()}")
        except lakefs_sdk.exceptions.ForbiddenException:
            return
        time.sleep(0.02)
    pytest.fail("the rule never took effect")
