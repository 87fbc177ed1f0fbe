"""What people look at and programs read: terminal, files, report, pictures."""
