"""What a bundle holds beside the network; `run.py` is copied into it as it stands."""
