"""Boxes of a COCO file, each cut out of its picture as an example of its own."""
