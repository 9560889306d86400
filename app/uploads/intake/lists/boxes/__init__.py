"""Boxes that tables and lines of paths say, by whatever tool."""
