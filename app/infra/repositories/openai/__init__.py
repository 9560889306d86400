"""What only OpenAI's routes keep: plain files and uploads in parts."""
