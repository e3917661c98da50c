def damages(git, progress): raise NotImplementedError
