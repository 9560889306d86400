"""What retraining by itself remembers: promotions, moves of aliases, hooks, webhooks."""
