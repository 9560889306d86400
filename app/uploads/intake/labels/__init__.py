"""What labels are: how many an example may have, how a cell says them, and which are intervals."""
