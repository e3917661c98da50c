"""One module a subject; each function is one command and calls one verb."""
