from registry.lake.contract import Sweep
def collect(git, *, grace, dry_run, keep): raise NotImplementedError
