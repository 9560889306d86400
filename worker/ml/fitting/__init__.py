"""Rows that heads are fitted on, and fits judged out of fold."""
