"""The parent process: claims work, has it done, commits what came of it. No torch in here."""
