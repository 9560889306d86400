"""The same backbone behind other servers, written as their own documentation shows."""
