"""Speed and cost: the rules of the bill, the budgets, and that nothing grows with the tables."""
