"""From the orders queue to the workflow: starts one execution per message."""
