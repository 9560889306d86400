"""What is deleted while a request that names it is being handled."""
