"""What columns are besides texts and labels: marks of classes, of what is held out, of splits, and
of labels that are not there."""
