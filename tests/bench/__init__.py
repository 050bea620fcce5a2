"""Tests of cost and speed: billing rules, budgets, and costs that do not grow with the tables."""
