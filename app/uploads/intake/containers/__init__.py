"""What holds members: zips and tars, each read by a reader of our own."""
