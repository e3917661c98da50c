"""Recipes, and the loop that makes a model of one."""
