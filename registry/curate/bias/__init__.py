"""Bias: what a version shows too much and too little of, against a named population."""
